"""Deleting users: what users itself has of them, and the job that sees the rest through."""
