"""An export: the records of the services as files, and the content of attachments beside them.

Messages come first and users last, so that whoever a record names is in the export, also of what happens meanwhile.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TextIO

from chatkit_client import ChatkitError, Client
from services.stack.own_folder import make_own_folder
from services.stack.transfer.attachments import FOLDER, download
from services.stack.transfer.children import exported
from services.stack.transfer.report import Refusal
from services.stack.trouble import Trouble

Environment = Callable[[str], Mapping[str, str]]


class Exporter:
    """One export into a folder."""

    def __init__(self, folder: Path, environment: Environment, client: Client, tell: Callable[[Refusal], None]) -> None:
        self._folder = folder
        self._environment = environment
        self._client = client
        self._tell = tell
        self._last_times: dict[str, str] = {}
        self._paths: set[Path] = set()
        self.counts = {"users": 0, "rooms": 0, "messages": 0, "files": 0, "missing_files": 0}

    async def write(self, advance: Callable[[int], None]) -> None:
        """Write the files; raises Trouble when it can't go on, and for a folder that has something in it."""
        make_own_folder(self._folder, FOLDER)
        for kind in ("messages", "rooms", "users"):
            # Under its name it is whole, whatever ends the export.
            path = self._folder / f"{kind}.incomplete.ndjson"
            try:
                with path.open("x", encoding="utf-8") as file:
                    await self._write(kind, file, advance)
                path.rename(self._folder / f"{kind}.ndjson")
            except OSError as error:
                raise Trouble(f"{error.filename or path} can't be written: {error.strerror}") from None

    async def _write(self, kind: str, file: TextIO, advance: Callable[[int], None]) -> None:
        async with aclosing(self._records(kind)) as told:
            async for record in told:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                self.counts[kind] += 1
                advance(1)

    async def _records(self, kind: str) -> AsyncGenerator[Mapping[str, Any], None]:
        async with aclosing(exported(kind, self._environment(kind))) as found:
            async for record in found:
                match kind:
                    case "messages":
                        yield await self._message(record)
                    case "rooms" if record["id"] in self._last_times:
                        yield {**record, "last_message_at": self._last_times[record["id"]]}
                    case _:
                        yield record

    async def _message(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        # They come in the order of their log, whose times do not go back.
        self._last_times[record["room_id"]] = record["created_at"]
        if all(part["part_type"] != "attachment" for part in record["parts"]):
            return record
        return {**record, "parts": [await self._part(record, part) for part in record["parts"]]}

    async def _part(self, record: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
        if part["part_type"] != "attachment":
            return part
        payload = dict(part["payload"])
        file_id, name = payload.pop("file_id"), payload.pop("sha256")
        await self._download(record, file_id, self._folder / FOLDER / name)
        return {**part, "payload": {**payload, "download_url": f"{FOLDER}/{name}"}}

    async def _download(self, record: Mapping[str, Any], file_id: str, path: Path) -> None:
        """Have the content once, however many messages have it."""
        if path in self._paths:
            return
        self._paths.add(path)
        try:
            await download(self._client, record["room_id"], file_id, path)
            self.counts["files"] += 1
        except ChatkitError as error:
            if error.is_passing or error.is_turned_away:
                raise Trouble(f"the file {file_id} can't be downloaded: {error}") from None
            self.counts["missing_files"] += 1
            where = f"message {record['id']} of room {record['room_id']}"
            self._tell(Refusal(where, error.reason, error.message, f"the content of {path.name}"))
