"""What other people wrote, on somebody's terminal."""

from services.runtime.shown import shown


def printable(text: str) -> str:
    """Keep control characters, and whatever else is hidden, from the terminal."""
    return shown(text, lambda _char: " ")
