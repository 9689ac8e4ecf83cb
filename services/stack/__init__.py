"""The whole suite on one machine: PostgreSQL, the services and the edge, as processes of one `up`."""
