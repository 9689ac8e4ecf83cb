"""The edge: Envoy in front of the services, its configuration rendered from the contract."""
