"""Says in a log why something failed: the words of what failed first, and never a password."""

import re

_MOST_CHARS = 400
# As in a URL, and as in a connection string.
_PASSWORDS = ((re.compile(r"://[^@/\s]*@"), "://…@"), (re.compile(r"password\s*=\s*('[^']*'|\S+)"), "password=…"))


def problem_of(error: BaseException) -> str:
    """Return what an error says, with what the first of its causes says."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    said = _said(first) if first is error else f"{_said(error)}: {_said(first)}"
    for pattern, instead in _PASSWORDS:
        said = pattern.sub(instead, said)
    return said[:_MOST_CHARS]


def _said(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
