"""What is stored, and the one way to write it."""
