"""How what was committed reaches those who follow a room."""
