"""A client that is curl: it follows a room by Server-Sent Events from where it stands, and sends in JSON."""

import asyncio
import json
import subprocess
import uuid
from typing import Any

from tests.clients.together.login import Login

_MESSAGES = "chatkit.messages.v1.MessagesService"
_OF_THE_LOG = {"messageCreated", "messageEdited", "messageDeleted", "messageGone"}
_PAUSE_SECONDS = 0.2


class Curl:
    """What it was told, by the events' names."""

    def __init__(self, address: str, login: Login, user_id: str) -> None:
        # The seq of each event of the log, its name and what it shows.
        self.events: list[tuple[int, str, Any]] = []
        self.streams = 0
        # How often not everything could be told.
        self.holes = 0
        self._address = address
        self._login = login
        self._user_id = user_id
        self._position: dict[str, Any] | None = None

    async def follow(self) -> None:
        """Follow the room until cancelled, one stream after the other."""
        while True:
            await self._stream()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def send(self, content: str) -> None:
        """Send a message, however often that takes."""
        body = {
            "roomId": "lobby",
            "requestId": uuid.uuid4().hex,
            "parts": [{"contentType": "text/plain", "content": content}],
        }
        while True:
            process = await self._curl("SendMessage", body, "--max-time", "10")
            answer, _ = await process.communicate()
            if b'"message"' in answer and b'"seq"' in answer:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stream(self) -> None:
        self.streams += 1
        asked = {"roomId": "lobby", **({"after": self._position} if self._position else {})}
        process = await self._curl("SubscribeRoom", asked, "-N")
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if line.startswith(b"data:"):
                    self._see(json.loads(line[5:]))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _see(self, frame: dict[str, Any]) -> None:
        for event in frame.get("events", ()):
            if "opened" in event:
                self._begin(event["opened"])
            (name,) = event.keys() & _OF_THE_LOG or {""}
            if name:
                self.events.append((int(event["seq"]), name, event[name]))
                assert self._position is not None
                self._position["seq"] = event["seq"]

    def _begin(self, opened: dict[str, Any]) -> None:
        if opened["outcome"] != "OUTCOME_RESUMED":
            self.holes += self._position is not None
            self._position = opened["position"]

    async def _curl(self, method: str, body: Any, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("curl", "-s", *options, f"http://{self._address}/{_MESSAGES}/{method}"),
            *("-H", f"authorization: Bearer {self._login.token(self._user_id)}"),
            *("-H", "content-type: application/json", "-d", json.dumps(body)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A line is a frame, which may be long.
            limit=4 * 1024 * 1024,
        )
