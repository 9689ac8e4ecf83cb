"""Content that nobody needs, or that is needed and not there."""
