"""Calls of every method that both releases have, in places of their own, and what each must answer."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import grpc

from services.runtime.contract.errors import from_rpc_error
from tests.checks.mixed.clients import Clients
from tests.checks.mixed.counts import Counts
from tests.permissions.callers import CALLERS, Caller, expected
from tests.permissions.cells import ROWS, Row, call, place
from tests.support.stubs import Stubs

# Of all callers of the matrix those who may call the most: one for everybody, and one who is asked for at rooms.
_CALLERS = [caller for caller in CALLERS if caller.name in {"su", "admin inside"}]
_CELLS_AT_ONCE = 4
_PAUSE_SECONDS = 0.05
# A call that has waited too long for a lock or a service, as on a slow machine, is made again.
_SLOW = {grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass
class Methods:
    """The methods with these paths, called through the edge; `name` is of all places that are made for it."""

    name: str
    paths: Collection[str]
    clients: Clients
    # How many calls were answered, as expected or not.
    done: int = 0

    async def call_all(self) -> None:
        """Call every one of them, a few at once, and count."""
        at_once = asyncio.Semaphore(_CELLS_AT_ONCE)
        async with self.clients.channel() as channel:
            stubs = _ThroughEdge(channel)
            with suppress(grpc.aio.AioRpcError):
                await stubs.make_users("owner", "member", "stranger")

            async def cell(row: Row, caller: Caller, name: str) -> None:
                async with at_once:
                    await self._call_one(stubs, row, caller, name)

            cells = [(row, caller) for row in ROWS if row.method.path in self.paths for caller in _CALLERS]
            async with asyncio.TaskGroup() as group:
                for number, one in enumerate(cells):
                    group.create_task(cell(*one, f"{self.name}-{number}"))

    async def _call_one(self, stubs: "_ThroughEdge", row: Row, caller: Caller, name: str) -> None:
        """Call a method in a place of its own, in another one when it was refused in passing or was too slow."""
        wanted = expected(row.method, caller, room_is_public=row.room_is_public, is_own=row.is_own)
        for attempt in count():
            try:
                at = await place(stubs, row, caller, f"{name}-{attempt}")
                told = await call(stubs.edge, row.method, caller, at)
            except grpc.aio.AioRpcError as error:
                told = from_rpc_error(error, row.method.path).reason
                is_away = self.clients.is_disturbed and error.code() is grpc.StatusCode.UNAVAILABLE
                if is_away or error.code() in _SLOW:
                    self._counts.repeated += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
            self.done += 1
            if told == wanted:
                self._counts.answered += 1
            else:
                self._counts.failed.append(f"{row.name} as {caller.name}: {told} and not {wanted}")
            return

    @property
    def _counts(self) -> Counts:
        return self.clients.counts


class _ThroughEdge(Stubs):
    """Stubs that call through the edge."""

    def __init__(self, edge: grpc.aio.Channel) -> None:
        self.edge = edge

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return the channel to the edge, which finds the service."""
        return self.edge
