"""Which members are still users, after users was put back to another state."""
