"""What those who run the suite put beside it."""
