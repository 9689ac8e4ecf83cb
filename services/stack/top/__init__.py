"""What a running suite does now: two readings of all its processes, and what has happened between them."""
