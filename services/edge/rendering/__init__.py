"""Envoy's configuration, rendered from the contract and a deployment."""
