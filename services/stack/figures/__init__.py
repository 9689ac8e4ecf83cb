"""What processes tell Prometheus, read by the commands that show or judge it."""
