"""How long messages are kept, and their removal."""
