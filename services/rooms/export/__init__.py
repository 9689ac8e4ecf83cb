"""Telling what rooms has of a user."""
