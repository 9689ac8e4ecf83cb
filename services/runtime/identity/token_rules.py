"""What holds of tokens wherever they are looked at, at the edge and in services."""

from datetime import timedelta

# The clock of who signs a token may be so far ahead. At its `exp` a token has expired by the clock here, whoever's is
# right: another one is soon made.
CLOCK_LEEWAY = timedelta(seconds=30)


def subject_must_be(most: int) -> str:
    """Return what is said of a `sub` that is none."""
    return f"the token's sub is no id: a text of 1 to {most} characters, none of them a control character"
