"""Removing all that messages has of a room that is deleted."""
