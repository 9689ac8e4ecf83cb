"""Telling what files has of a user, the content of their files included."""
