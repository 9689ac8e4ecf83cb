"""What went wrong, in a sentence for the person at the terminal."""


class Trouble(Exception):
    """A command can't go on; its text is all that is shown."""
