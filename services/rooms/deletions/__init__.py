"""Deleting rooms: what rooms itself has of them, and the job that sees the rest through."""
