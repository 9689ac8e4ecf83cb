"""What other people wrote, where people and programs read it by lines: logs and terminals. Pure."""

import unicodedata
from collections.abc import Callable

# Controls, ends of lines, what formats the text around it, and halves of pairs. What Unicode has not assigned yet may
# be a picture of a later version.
_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs"}
# Part of pictures and of some scripts.
JOINERS = frozenset({"\u200c", "\u200d"})


def shown(text: str, instead: Callable[[str], str]) -> str:
    """Return a text with something else instead of each character that is hidden, or an order to what shows it."""
    if text.isprintable():
        return text
    return "".join(instead(char) if _is_hidden(char) else char for char in text)


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN and char not in JOINERS
