"""Removing all files of a room or a user that is deleted."""
