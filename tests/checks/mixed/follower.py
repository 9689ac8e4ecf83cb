"""A user who follows on one stream every room of which they become a member, and records what it brings."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from chatkit_client import ChatkitError, Client, Gap
from services.stack.proof.clients.work import entry_of
from services.stack.proof.history import Arrival, Entry, Stream
from tests.support.eventually import eventually

# How long what is missing may take to arrive.
_STALL_SECONDS = 30.0


class Follower:
    """Follows from the moment when the context is opened."""

    def __init__(self, client: Client, user_id: str) -> None:
        self._user_id = user_id
        self._events = client.subscribe_rooms(
            follow_memberships=True, include_cursors=True, include_read_states=True, default_last=0
        )
        # Of each room that was opened the place where it began, and when.
        self._began: dict[str, tuple[int, float]] = {}
        self._arrivals: dict[str, list[Arrival]] = {}
        # What the stream said that it should not have.
        self.failed: list[str] = []

    @property
    def reopened(self) -> int:
        """How often the stream was opened again, because it had ended."""
        return max(self._events.streams - 1, 0)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow while the context is open."""
        async with self._events:
            task = asyncio.create_task(self._follow())
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def opened(self, room_id: str) -> None:
        """Return when a room is followed; raises TimeoutError, naming it, when it is not for long."""
        try:
            await eventually(lambda: room_id in self._began, _STALL_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"{room_id!r} is not followed by its member") from None

    async def streams(self, logs: Mapping[str, Sequence[Entry]]) -> list[Stream]:
        """Return what was recorded of each room, after all that its log has has arrived, or has not for long."""
        for room_id, log in logs.items():
            last = log[-1].seq if log else 0
            with suppress(TimeoutError):
                await eventually(lambda room_id=room_id, last=last: self._last(room_id) >= last, _STALL_SECONDS)  # type: ignore[misc]
            if self._last(room_id) < last:
                self.failed.append(f"the stream of rooms has brought {self._last(room_id)} of {last} of {room_id}")
        for what, times in (("sent again", self._events.repeated), ("left out", self._events.holes)):
            if times:
                self.failed.append(f"the stream of rooms has {what} {times} events")
        return [self._stream(room_id) for room_id in self._began]

    def _stream(self, room_id: str) -> Stream:
        after, opened = self._began[room_id]
        arrivals = tuple(self._arrivals[room_id])
        return Stream(room_id, self._user_id, opened, is_resumed=False, after=after, arrivals=arrivals)

    def _last(self, room_id: str) -> int:
        arrivals = self._arrivals[room_id]
        return arrivals[-1].entry.seq if arrivals else self._began[room_id][0]

    async def _follow(self) -> None:
        try:
            async for event in self._events:
                self._take(event)
        except ChatkitError as error:
            self.failed.append(f"the stream of rooms: {error}")

    def _take(self, event: Any) -> None:
        if isinstance(event, Gap):
            self.failed.append(f"the stream of rooms has a gap: {event.reason}")
        elif event.HasField("opened") and event.room_id:
            self._began.setdefault(event.room_id, (event.opened.position.seq, time.monotonic()))
            self._arrivals.setdefault(event.room_id, [])
        elif event.HasField("closed"):
            self.failed.append(f"the stream of rooms has closed {event.room_id}: {event.closed.reason}")
        elif (entry := entry_of(event)) is not None:
            self._arrivals[event.room_id].append(Arrival(entry, time.monotonic()))
