"""The processes of the suite: one package each, and what they share in `runtime`."""
