"""What other people wrote, on somebody's terminal."""


def printable(text: str) -> str:
    """Keep control characters, and whatever else does not show, from the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
