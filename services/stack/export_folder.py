"""A user's export as a folder: a line per record in records.ndjson, and the content of files beside it.

Until everything has come the records are in records.incomplete.ndjson, so whatever ends the export leaves it named so.
Names come from others: nothing of them may lead out of the folder, hide itself, or order a terminal about.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from services.runtime.shown import shown
from services.stack.own_folder import PRIVATE, make_own_folder
from services.stack.trouble import Trouble

RECORDS, INCOMPLETE = "records.ndjson", "records.incomplete.ndjson"
_NOT_IN_NAMES = '/\\:*?"<>|'
# A file system takes names of 255 bytes; before this comes the file's id.
_NAME_BYTES = 200


class ExportFolder:
    """Where an export is written, record after record."""

    def __init__(self, folder: Path, records: TextIO) -> None:
        self.counts: Counter[str] = Counter()
        self.is_complete = False
        self._folder = folder
        self._records = records
        # The file whose content may come now.
        self._file = folder

    def add(self, service: str, kind: str, fields: dict[str, Any], content: bytes) -> None:
        """Write a record. Raises Trouble about content that does not fit what came before."""
        if kind == "file_content":
            self._append(int(fields["offset"]), content)
            return
        # A Struct has its fields in no order.
        line = {"service": service, "kind": kind, **dict(sorted(fields.items()))}
        match kind:
            case "file":
                line["path"] = self._begin_file(fields)
            case "file_gone":
                self._file.rename(self._file.with_name(f"{self._file.name}.incomplete"))
            case "complete":
                self.is_complete = True
        self._records.write(json.dumps(line, ensure_ascii=False) + "\n")
        if kind != "complete":
            self.counts[kind] += 1

    def _begin_file(self, fields: dict[str, Any]) -> str:
        self._file = self._folder / "files" / safe_name(fields["id"], fields["name"])
        self._file.parent.mkdir(mode=PRIVATE, exist_ok=True)
        self._file.touch()
        return str(self._file.relative_to(self._folder))

    def _append(self, offset: int, content: bytes) -> None:
        with self._file.open("ab") as file:
            if file.tell() != offset:
                raise Trouble(f"a piece of {self._file.name} is missing: {offset} follows on {file.tell()}")
            file.write(content)


@contextmanager
def new_folder(folder: Path) -> Iterator[ExportFolder]:
    """Make a folder, and give the records their name when they are complete; where none came it stays empty.

    Raises Trouble when the folder is there and has something in it.
    """
    make_own_folder(folder)
    try:
        with (folder / INCOMPLETE).open("x", encoding="utf-8") as records:
            made = ExportFolder(folder, records)
            yield made
        if made.is_complete:
            (folder / INCOMPLETE).rename(folder / RECORDS)
        elif not made.counts:
            # Nothing came: the next try may have the folder.
            (folder / INCOMPLETE).unlink()
    except OSError as error:
        raise Trouble(f"{folder} can't be written: {error.strerror}") from None


def safe_name(file_id: str, name: str) -> str:
    """Return the name under which a file is written; the id comes first, so it is never hidden and never taken."""
    plain = "".join("_" if char in _NOT_IN_NAMES else char for char in f"{file_id}-{shown(name, lambda _char: '_')}")
    return plain.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip(". ").lstrip(".")
