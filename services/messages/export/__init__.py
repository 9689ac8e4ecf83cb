"""Telling what messages has of a user."""
