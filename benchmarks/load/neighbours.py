"""Honest users who go on with what they do while somebody attacks, and what they notice of it.

Each has a connection of their own and calls at a steady rate, whether answers come or not. A call counts from when it
was due, and every call that is not answered with what was asked for is a failure.
"""

import asyncio
import http.client
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.files.v1 import files_service_pb2, files_service_pb2_grpc
from chatkit.messages.v1 import messages_service_pb2, messages_service_pb2_grpc, part_pb2, position_pb2, room_event_pb2
from chatkit.rooms.v1 import rooms_service_pb2, rooms_service_pb2_grpc
from chatkit.users.v1 import users_service_pb2, users_service_pb2_grpc

from benchmarks.load import steady
from benchmarks.load.jobs import NeighboursJob
from benchmarks.load.process import Answer
from benchmarks.load.timing import milliseconds, percentile
from services.runtime.contract.errors import from_rpc_error

_SECONDS = 10.0
_LONG_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
_CATCH_UP_SECONDS = 5.0
_CONTENT = b"x" * 10_000
_CONTENT_TYPE = "image/png"
_OK = 200
UPLOAD = "upload"


class _Notes:
    """What was noticed since it was last told."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.calls = 0
        # When a call was due, and how long it took from then on.
        self._durations: list[tuple[float, float]] = []
        self._uploads: list[tuple[float, float]] = []
        self.deliveries: list[tuple[float, float]] = []
        self._window = (0.0, 0.0)
        self._last_failure = 0.0

    def fail(self, what: str) -> None:
        self.failures[what] += 1
        self._last_failure = time.monotonic()

    def calm_seconds(self, oldest_due: float) -> float:
        """Return for how long nothing has failed; 0 while a call waits for long, because it may fail as well."""
        now = time.monotonic()
        return 0.0 if now - oldest_due > _LONG_SECONDS else now - self._last_failure

    def take(self, kind: str, due: float) -> None:
        durations = self._uploads if kind == UPLOAD else self._durations
        durations.append((due, time.monotonic() - due))

    def open(self) -> None:
        self._window = (time.monotonic(), float("inf"))

    def close(self) -> None:
        self._window = (self._window[0], time.monotonic())

    def tell(self) -> dict[str, Any]:
        found = {
            **milliseconds(self._within(self._durations)),
            "count": len(self._within(self._durations)),
            "seconds": self._window[1] - self._window[0],
            "upload_max_ms": milliseconds(self._within(self._uploads))["max_ms"],
            "delivery_p99_ms": percentile(sorted(self._within(self.deliveries)), 0.99) * 1_000,
            "calls_in_all": self.calls,
            "failures": dict(self.failures.most_common()),
        }
        self.failures = Counter()
        self.calls = 0
        self._durations, self._uploads, self.deliveries = [], [], []
        return found

    def _within(self, durations: list[tuple[float, float]]) -> list[float]:
        begin, end = self._window
        return [duration for due, duration in durations if begin <= due < end]


class _Member:
    """A user's connections: one for calls and one for content."""

    def __init__(self, user_id: str, token: str, channel: grpc.aio.Channel, address: str) -> None:
        self.user_id = user_id
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.messages: Any = messages_service_pb2_grpc.MessagesServiceStub(channel)
        self.rooms: Any = rooms_service_pb2_grpc.RoomsServiceStub(channel)
        self.users: Any = users_service_pb2_grpc.UsersServiceStub(channel)
        self.files: Any = files_service_pb2_grpc.FilesServiceStub(channel)
        self._http = http.client.HTTPConnection(address, timeout=_SECONDS)
        # A connection of HTTP/1.1 carries one at a time.
        self.uploading = asyncio.Lock()

    def put(self, url: str) -> str:
        """Put content and return why that was refused, if it was."""
        try:
            answer, body = self._put(url)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The connection was idle and is closed; as browsers do, once more on a new one.
            self._http.close()
            answer, body = self._put(url)
        except BaseException:
            self._http.close()
            raise
        if answer.status == _OK:
            return ""
        with suppress(ValueError, LookupError, TypeError):
            return str(next(detail["reason"] for detail in json.loads(body)["details"] if "reason" in detail))
        return f"HTTP {answer.status}"

    def _put(self, url: str) -> tuple[http.client.HTTPResponse, bytes]:
        target = url[url.index(urlsplit(url).path) :]
        self._http.request("PUT", target, _CONTENT, {"content-type": _CONTENT_TYPE})
        answer = self._http.getresponse()
        return answer, answer.read()


class _Follower:
    """The stream of the room, which must be given every send that was acknowledged."""

    def __init__(self, job: NeighboursJob, member: _Member, notes: _Notes) -> None:
        self._room_id = job.room_id
        self._member = member
        self._notes = notes
        self._position = position_pb2.Position()
        self._due: dict[int, float] = {}
        self.missing: set[int] = set()
        self.arrived: set[int] = set()
        self.changed = asyncio.Event()
        self.is_caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow, and resume whatever ended the stream."""
        while True:
            request = messages_service_pb2.SubscribeRoomRequest(room_id=self._room_id, last=0)
            if self._position.epoch:
                request.after.CopyFrom(self._position)
            closed = "ended"
            try:
                async for frame in self._member.messages.SubscribeRoom(request, metadata=self._member.metadata):
                    for event in frame.events:
                        closed = self._take(event) or closed
            except grpc.aio.AioRpcError as error:
                closed = _reason(error)
            self._notes.fail(f"SubscribeRoom {closed}")
            await asyncio.sleep(_PAUSE_SECONDS)

    def _take(self, event: Any) -> str:
        if event.HasField("opened"):
            if event.opened.reason == room_event_pb2.SNAPSHOT_REASON_TOO_FAR:
                # The client is told that it must read what lies between: none of it is lost.
                self._notes.fail("SubscribeRoom TOO_FAR")
                self.missing = {seq for seq in self.missing if seq > event.opened.position.seq}
            self._position.CopyFrom(event.opened.position)
        elif event.HasField("caught_up"):
            self.is_caught_up.set()
        elif event.HasField("closed"):
            return error_reason_pb2.ErrorReason.Name(event.closed.reason)
        elif event.seq:
            self._position.seq = max(self._position.seq, event.seq)
            if event.HasField("message_created"):
                self._arrive(event.seq)
        return ""

    def _arrive(self, seq: int) -> None:
        if seq in self.missing:
            self._deliver(seq)
            self.missing.discard(seq)
            self.changed.set()
        else:
            # Deliveries overtake answers.
            self.arrived.add(seq)
            self._due[seq] = time.monotonic()

    def _deliver(self, seq: int) -> None:
        due = self._due.pop(seq)
        self._notes.deliveries.append((due, time.monotonic() - due))

    def acknowledge(self, seq: int, due: float) -> None:
        """Learn that a send was answered, which was due then."""
        if seq in self.arrived:
            self.arrived.discard(seq)
            self._notes.deliveries.append((due, self._due.pop(seq) - due))
        else:
            self._due[seq] = due
            self.missing.add(seq)

    @property
    def oldest_due(self) -> float:
        """When the oldest send was due that was acknowledged and has not come; now, when all have come."""
        return min((self._due[seq] for seq in self.missing), default=time.monotonic())

    async def settle(self) -> dict[str, int]:
        """Count, after some patience, what was acknowledged and passed over, and what is still to come."""
        owed = set(self.missing)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                while owed & self.missing:
                    self.changed.clear()
                    await self.changed.wait()
        # A stream gives all in one order, so what it has passed over will never come.
        lost = {seq for seq in self.missing if seq <= self._position.seq}
        self.missing -= lost
        return {"lost": len(lost), "late": len(owed & self.missing)}


class _Neighbours:
    """All of them and their rates."""

    def __init__(self, job: NeighboursJob, members: list[_Member]) -> None:
        self._job = job
        self._members = members
        self.notes = _Notes()
        self.follower = _Follower(job, members[-1], self.notes)
        # When the calls that are under way were due.
        self._under_way: Counter[float] = Counter()
        self._sent = 0

    async def run(self, *, caught_up: Callable[[], None]) -> None:
        """Call for ever."""
        job = self._job
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.run())
            await self.follower.is_caught_up.wait()
            caught_up()
            paced: list[tuple[str, float, Callable[[_Member, float], Awaitable[None]]]] = [
                ("SendMessage", job.sends_per_second, self._send),
                ("ListMessages", job.reads_per_second, self._list_messages),
                ("GetRoom", job.reads_per_second, self._get_room),
                ("GetUser", job.reads_per_second, self._get_user),
                ("ListFiles", job.reads_per_second, self._list_files),
                (UPLOAD, job.uploads_per_second, self._upload),
            ]
            for kind, per_second, call in paced:
                if per_second:
                    group.create_task(self._pace(group, kind, per_second, call))

    async def _pace(
        self,
        group: asyncio.TaskGroup,
        kind: str,
        per_second: float,
        call: Callable[[_Member, float], Awaitable[None]],
    ) -> None:
        began = time.monotonic()
        turn = 0
        while True:
            due = began + turn / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(self._note(kind, due, call(self._members[turn % len(self._members)], due)))
            turn += 1

    async def _note(self, kind: str, due: float, call: Awaitable[None]) -> None:
        self._under_way[due] += 1
        self.notes.calls += 1
        try:
            await call
        except grpc.aio.AioRpcError as error:
            self.notes.fail(f"{kind} {_reason(error)}")
        except (OSError, http.client.HTTPException) as error:
            self.notes.fail(f"{kind} {type(error).__name__}")
        except _Refused as refusal:
            self.notes.fail(f"{kind} {refusal}")
        finally:
            # What was refused took as long as it took.
            self.notes.take(kind, due)
            self._under_way[due] -= 1
            if not self._under_way[due]:
                del self._under_way[due]

    @property
    def calm_seconds(self) -> float:
        """For how long nothing has failed, nor waits for long."""
        return self.notes.calm_seconds(min([self.follower.oldest_due, *self._under_way]))

    async def _send(self, member: _Member, due: float) -> None:
        self._sent += 1
        part = part_pb2.Part(content_type="text/plain", content="x" * 64)
        request = messages_service_pb2.SendMessageRequest(
            room_id=self._job.room_id, request_id=f"{self._job.namespace}-{self._sent}", parts=[part]
        )
        answer = await member.messages.SendMessage(request, metadata=member.metadata, timeout=_SECONDS)
        self.follower.acknowledge(answer.message.seq, due)

    async def _list_messages(self, member: _Member, _due: float) -> None:
        request = messages_service_pb2.ListMessagesRequest(room_id=self._job.room_id)
        await member.messages.ListMessages(request, metadata=member.metadata, timeout=_SECONDS)

    async def _get_room(self, member: _Member, _due: float) -> None:
        request = rooms_service_pb2.GetRoomRequest(room_id=self._job.room_id)
        await member.rooms.GetRoom(request, metadata=member.metadata, timeout=_SECONDS)

    async def _get_user(self, member: _Member, _due: float) -> None:
        request = users_service_pb2.GetUserRequest(user_id=self._members[0].user_id)
        await member.users.GetUser(request, metadata=member.metadata, timeout=_SECONDS)

    async def _list_files(self, member: _Member, _due: float) -> None:
        request = files_service_pb2.ListFilesRequest(room_id=self._job.room_id)
        await member.files.ListFiles(request, metadata=member.metadata, timeout=_SECONDS)

    async def _upload(self, member: _Member, _due: float) -> None:
        self._sent += 1
        request = files_service_pb2.CreateFileRequest(
            room_id=self._job.room_id,
            content_type=_CONTENT_TYPE,
            size_bytes=len(_CONTENT),
            request_id=f"{self._job.namespace}-{self._sent}",
        )
        created = await member.files.CreateFile(request, metadata=member.metadata, timeout=_SECONDS)
        async with member.uploading:
            refusal = await asyncio.to_thread(member.put, created.upload_url)
        if refusal:
            raise _Refused(refusal)

    async def tell(self) -> dict[str, Any]:
        """Return what was noticed since it was last told, with the calls that are under way."""
        settled = await self.follower.settle()
        return {**self.notes.tell(), **settled, "under_way": self._under_way.total()}


class _Refused(Exception):
    """Content was not taken."""


@asynccontextmanager
async def neighbours(job: NeighboursJob) -> AsyncIterator[Answer]:
    """Go on for as long as the context is open. `open` and `close` a window, `tell` what was noticed since.

    `calm` is for how long nothing has failed.
    """
    async with AsyncExitStack() as stack:
        members = []
        for user_id, token in job.members:
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(job.address, options=steady.OWN_CONNECTION)
            )
            members.append(_Member(user_id, token, channel, job.address))
        all_of_them = _Neighbours(job, members)
        ready = asyncio.Event()
        going_on = asyncio.create_task(all_of_them.run(caught_up=ready.set))

        async def answer(question: str) -> dict[str, Any]:
            if going_on.done():
                # What went wrong there is told.
                await going_on
            match question:
                case "open":
                    await ready.wait()
                    all_of_them.notes.open()
                case "close":
                    all_of_them.notes.close()
                case "calm":
                    return {"seconds": all_of_them.calm_seconds}
                case _:
                    return await all_of_them.tell()
            return {}

        try:
            yield answer
        finally:
            going_on.cancel()
            await asyncio.gather(going_on, return_exceptions=True)


def _reason(error: grpc.aio.AioRpcError) -> str:
    return from_rpc_error(error, "the edge").reason
