"""One subscriber's stream: what waits for it, and what it may be given."""
