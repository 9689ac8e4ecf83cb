"""Notices pooled connections that nobody gave back: SQLAlchemy says so when it collects them, in its log only.

The warning that goes with it is raised where nobody can hear it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_POOL = logging.getLogger("sqlalchemy.pool")
_WORDS = "non-checked-in connection"


class _Watch(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lost: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if _WORDS in text:
            self.lost.append(text)


@contextmanager
def watching() -> Iterator[list[str]]:
    """Yield what is said of lost connections while the context is open."""
    watch = _Watch()
    _POOL.addHandler(watch)
    try:
        yield watch.lost
    finally:
        _POOL.removeHandler(watch)
