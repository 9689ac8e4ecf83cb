"""Content over HTTP, and the listener for it."""
