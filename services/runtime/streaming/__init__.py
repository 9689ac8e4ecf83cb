"""Streams that a service serves, and what waits for their readers."""
