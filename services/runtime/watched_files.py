"""Files that may change while a process runs: looked at again and again, by their content.

What can't be read, or makes no sense, changes nothing: the value from before stays, and the log says why.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

_log = structlog.get_logger()
_Value = TypeVar("_Value")


class WatchedFiles(Generic[_Value]):
    """A value that was read from files which belong together."""

    def __init__(self, paths: Sequence[Path], parse: Callable[..., _Value]) -> None:
        self._paths = paths
        self._parse = parse
        self._contents = self._read()
        self._problem = ""
        self.value = parse(*self._contents)

    def look(self) -> bool:
        """Read the files again if they have changed, and tell whether the value has.

        It compares contents and not times, because mounted secrets are exchanged by moving a link.
        """
        try:
            contents = self._read()
            value = self.value if contents == self._contents else self._parse(*contents)
        except (OSError, ValueError) as error:
            self._report(str(error))
            return False
        self._problem = ""
        self._contents = contents
        has_changed = value != self.value
        self.value = value
        return has_changed

    def _read(self) -> list[bytes]:
        return [path.read_bytes() for path in self._paths]

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            _log.error("files_unusable", files=[str(path) for path in self._paths], problem=problem)
        self._problem = problem
