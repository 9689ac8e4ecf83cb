"""What a process tells Prometheus of itself."""
