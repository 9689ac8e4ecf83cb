"""Exporting users: what users itself has of them, and what the other services have."""
