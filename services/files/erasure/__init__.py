"""Removing all files of a room that is deleted."""
