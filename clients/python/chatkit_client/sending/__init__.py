"""Sending one message, or many: those of one room are stored in the order in which they are given."""
