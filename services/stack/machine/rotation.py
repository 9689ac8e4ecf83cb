"""The logs of the one-machine stack: what processes write goes through a pipe into files of bounded size.

A file that is full is renamed and a new one made, between two lines, so that `tail -F` shows every line once. The
processes never see the files: a disk that is full costs lines, and nothing else.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_READ_BYTES = 64 * 1024
# The file that is written and those that were: five times this much, for each process.
FILE_BYTES = 8 * 1024 * 1024
KEPT_FILES = 4


class RotatingFile:
    """A file of lines that is renamed when it is full; `mode` is who may read those that are made."""

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES, kept_files: int = KEPT_FILES, mode: int) -> None:
        self.path = path
        self._file_bytes = file_bytes
        self._kept_files = kept_files
        self._mode = mode
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._size = 0
        # The disk became full in the middle of a line.
        self._is_cut = False

    def write(self, lines: bytes) -> None:
        """Append whole lines. A failure loses them: nobody is there to be told of it but the file itself."""
        with self._lock, suppress(OSError):
            if lines:
                self._make_room(len(lines))
                self._append(lines)

    def close(self) -> None:
        """Leave the file, which is opened again when there is more."""
        with self._lock:
            self._close()

    def _append(self, lines: bytes) -> None:
        descriptor = self._open()
        if self._is_cut:
            lines = b"\n" + lines
        while lines:
            written = os.write(descriptor, lines)
            lines = lines[written:]
            self._size += written
            self._is_cut = bool(lines)

    def _make_room(self, size: int) -> None:
        self._open()
        if not self._size or self._size + size <= self._file_bytes:
            return
        for number in range(self._kept_files, 0, -1):
            older = self._numbered(number)
            with suppress(FileNotFoundError):
                self._numbered(number - 1).rename(older)
        self._close()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _open(self) -> int:
        if self._descriptor is not None and not self.path.exists():
            # Somebody has removed it to make room.
            self._close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, self._mode)
            self._size = os.fstat(self._descriptor).st_size
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class RotatingLog:
    """The log of one process, and of those that take its place when it ends."""

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES, kept_files: int = KEPT_FILES) -> None:
        self.path = path
        self._file = RotatingFile(path, file_bytes=file_bytes, kept_files=kept_files, mode=0o644)
        self._readers: list[threading.Thread] = []

    @contextmanager
    def taking(self) -> Iterator[int]:
        """Lend a descriptor for a process to write to; it is read until the process, and what it started, has ended."""
        reading, writing = os.pipe()
        # A daemon, because a process that outlives this one must not keep it.
        reader = threading.Thread(target=self._read, args=(reading,), name=f"log {self.path.name}", daemon=True)
        self._readers = [other for other in self._readers if other.is_alive()]
        self._readers.append(reader)
        reader.start()
        try:
            yield writing
        finally:
            os.close(writing)

    def last_lines(self, count: int = 10, seconds: float = 1.0) -> str:
        """Return the last lines; those of a process that has just ended are waited for a moment."""
        deadline = time.monotonic() + seconds
        for reader in list(self._readers):
            reader.join(max(deadline - time.monotonic(), 0))
        try:
            return "\n".join(self.path.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""

    def _read(self, descriptor: int) -> None:
        begun = b""
        while chunk := os.read(descriptor, _READ_BYTES):
            whole, newline, rest = (begun + chunk).rpartition(b"\n")
            self._file.write(whole + newline)
            # What has no end for so long is written as it is.
            begun = rest if len(rest) < _READ_BYTES else b""
            if not begun:
                self._file.write(rest)
        self._file.write(begun + b"\n" if begun else b"")
        os.close(descriptor)
        self._file.close()
