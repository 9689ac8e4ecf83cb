"""Apps that start, one after the other, or come back after a cut, with the calls of a session of the Python client.

An app opens the stream of its device, on a connection of its own. It is told its rooms, who is in them (by their ids),
and what each room holds for the user: how much is unread, and the last message. Then it follows the three newest rooms
with their last messages, in a call each. When all of that is there the connection is cut.

An app that comes back asks on its stream for what it has missed: some messages in each of those three rooms. Every one
comes back from the same place, so each is told the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import position_pb2, room_event_pb2
from chatkit.rooms.v1 import user_event_pb2, user_position_pb2
from chatkit.sync.v1 import presence_part_pb2, room_to_follow_pb2, sync_event_pb2, sync_service_pb2, user_part_pb2

from benchmarks.echo import BYTES, FRAMES
from benchmarks.load.http2 import Connection, Head, connect
from benchmarks.load.jobs import BareStartsJob, StartsJob
from benchmarks.load.timing import Window

SHOWN, LAST, MISSED = 3, 20, 5
_SERVICE = "/chatkit.sync.v1.SyncService/"
_SUBSCRIBE, _UPDATE = _SERVICE + "Subscribe", _SERVICE + "UpdateSubscription"
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_decode = sync_service_pb2.SubscribeResponse.FromString


_Told = TypeVar("_Told", bound="Frames")


class Refused(Exception):
    """A stream ended, or a call brought no answer."""


class Frames:
    """What comes on a stream, as far as its bytes go; also at a bare server."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.ending = ""
        self._changed = asyncio.Event()

    def message(self, payload: bytes) -> None:
        """Take a frame."""
        self.sizes.append(len(payload))
        self._changed.set()

    def ended(self) -> None:
        """Learn that nothing more comes."""
        self.ending = self.ending or "without a word"
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so; raises Refused when it never will be."""
        while not is_so():
            if self.ending:
                raise Refused(f"the stream ended: {self.ending}")
            self._changed.clear()
            await self._changed.wait()


class Device(Frames):
    """What the stream of a device has told."""

    def __init__(self) -> None:
        super().__init__()
        self.stream_id = ""
        self.is_caught_up = False
        # By room, with the time of its last message.
        self.read_states: dict[str, int] = {}
        # Those that the user's part has told.
        self.room_ids: set[str] = set()
        self.user_position = user_position_pb2.UserPosition()
        # Of rooms whose events are followed, once their start was told.
        self.positions: dict[str, position_pb2.Position] = {}
        self.messages = 0
        self._epochs: dict[str, str] = {}

    def message(self, payload: bytes) -> None:
        """Take a frame."""
        for event in _decode(payload).events:
            self._take(event)
        super().message(payload)

    def newest(self) -> list[str]:
        """Return the rooms whose last messages are the latest ones."""
        by_time = sorted(self.read_states, key=lambda room_id: (self.read_states[room_id], room_id))
        return by_time[-SHOWN:]

    def _take(self, event: sync_event_pb2.SyncEvent) -> None:
        match event.WhichOneof("event"):
            case "opened":
                self.stream_id = event.opened.stream_id
            case "caught_up":
                self.is_caught_up = True
            case "room":
                self._take_room(event.room)
            case "user":
                self._take_user(event.user)
            case "closed":
                self.ending = error_reason_pb2.ErrorReason.Name(event.closed.reason)
            case "part_closed":
                self.ending = error_reason_pb2.ErrorReason.Name(event.part_closed.closed.reason)

    def _take_user(self, event: user_event_pb2.UserEvent) -> None:
        if event.HasField("room"):
            self.room_ids.add(event.room.room.id)
        if event.HasField("position"):
            self.user_position = event.position

    def _take_room(self, event: room_event_pb2.RoomEvent) -> None:
        room_id = event.room_id
        self.messages += event.seq > 0
        match event.WhichOneof("event"):
            case "opened" if event.opened.outcome == room_event_pb2.OUTCOME_SNAPSHOT:
                self._epochs[room_id] = event.opened.position.epoch
            # Rooms of which only the read state is sent have no snapshot, and nothing to go on from.
            case "caught_up" if room_id in self._epochs:
                self.positions[room_id] = position_pb2.Position(epoch=self._epochs[room_id], seq=event.caught_up.seq)
            case "read_state":
                self.read_states[room_id] = event.read_state.last_message.create_time.ToNanoseconds()
            case "closed":
                self.ending = error_reason_pb2.ErrorReason.Name(event.closed.reason)


class _Answer:
    """The answer to a call: of how many bytes it is."""

    def __init__(self) -> None:
        self.size: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def message(self, payload: bytes) -> None:
        """Take it."""
        self.size.set_result(len(payload))

    def ended(self) -> None:
        """Learn that nothing more comes."""
        if not self.size.done():
            self.size.set_exception(Refused("a call was refused"))


@dataclass(frozen=True, slots=True)
class Start(Generic[_Told]):
    """A start that is over: what was told, how long it took, and the bytes on the wire both ways."""

    told: _Told
    answers: list[int]
    request_bytes: int
    seconds: float
    sent: int
    received: int


Calls = Callable[[Connection, bytes], Awaitable[tuple[_Told, list[int]]]]


def first_request() -> sync_service_pb2.SubscribeRequest:
    """Return what the stream of an app asks for that knows nothing yet."""
    return sync_service_pb2.SubscribeRequest(
        follow_memberships=True,
        default_detail=room_to_follow_pb2.ROOM_DETAIL_READ_STATE,
        default_last=LAST,
        include_cursors=True,
        include_read_states=True,
        user=user_part_pb2.UserPart(),
        presence=presence_part_pb2.PresencePart(online=True),
    )


def follow_request(stream_id: str, room_id: str) -> sync_service_pb2.UpdateSubscriptionRequest:
    """Return what lets a stream follow the messages of a room."""
    room = room_to_follow_pb2.RoomToFollow(room_id=room_id, detail=room_to_follow_pb2.ROOM_DETAIL_EVENTS, last=LAST)
    return sync_service_pb2.UpdateSubscriptionRequest(stream_id=stream_id, follow_rooms=[room])


def next_request(device: Device, missed: int = MISSED) -> sync_service_pb2.SubscribeRequest:
    """Return what the next stream asks for, as if the last messages of each room had not come."""
    request = first_request()
    request.user.after.CopyFrom(device.user_position)
    for room_id in device.read_states:
        room = request.rooms.add(room_id=room_id)
        position = device.positions.get(room_id)
        if position is None:
            room.last = LAST
        else:
            room.detail = room_to_follow_pb2.ROOM_DETAIL_EVENTS
            room.after.CopyFrom(position_pb2.Position(epoch=position.epoch, seq=position.seq - missed))
            room.max_snapshot_messages = LAST
    return request


async def run(job: StartsJob) -> dict[str, Any]:
    """Let apps start, or come back, for a while."""
    apps = _Apps(job.token)
    if not job.is_resumed:
        calls, body = apps.start, first_request().SerializeToString()
    else:
        first = await _start(job.address, apps.start, first_request().SerializeToString())
        calls, body = apps.come_back, next_request(first.told).SerializeToString()
    found, starts = await _measured(job, lambda: _start(job.address, calls, body))
    return {**found, **_counted(job, [start.told for start in starts])}


class _Apps:
    """The calls of a user's apps."""

    def __init__(self, token: str) -> None:
        self._subscribe, self._update = Head(_SUBSCRIBE, token), Head(_UPDATE, token)

    async def start(self, connection: Connection, body: bytes) -> tuple[Device, list[int]]:
        """Open the stream of a device, and follow the newest rooms when their read states are known."""
        device, _ = await self.come_back(connection, body)
        shown, answers = device.newest(), []
        for room_id in shown:
            request = follow_request(device.stream_id, room_id).SerializeToString()
            answers.append(await _answered(connection, self._update, request))
        await device.until(lambda: device.positions.keys() >= set(shown))
        return device, answers

    async def come_back(self, connection: Connection, body: bytes) -> tuple[Device, list[int]]:
        """Open the stream of a device that knows what it wants."""
        device = Device()
        connection.call(self._subscribe, body, device)
        await device.until(lambda: device.is_caught_up)
        return device, []


async def run_bare(job: BareStartsJob) -> dict[str, Any]:
    """Let as many bytes be answered in as many messages of a stream, and in as many calls after them."""
    frames_head, bytes_head = Head(FRAMES), Head(BYTES)

    async def calls(connection: Connection, body: bytes) -> tuple[Frames, list[int]]:
        frames = Frames()
        connection.call(frames_head, body, frames)
        await frames.until(lambda: len(frames.sizes) == len(job.frames))
        return frames, [await _answered(connection, bytes_head, str(size).encode()) for size in job.answers]

    body = ",".join(map(str, job.frames)).encode().ljust(job.request_bytes)
    found, _ = await _measured(job, lambda: _start(job.address, calls, body))
    return found


async def _answered(connection: Connection, head: Head, body: bytes) -> int:
    """Make a call and return of how many bytes the answer is; raises Refused when there is none."""
    answer = _Answer()
    connection.call(head, body, answer)
    return await answer.size


async def _start(address: str, calls: Calls[_Told], body: bytes) -> Start[_Told]:
    began = time.monotonic()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        connection = await connect(address)
        try:
            told, answers = await calls(connection, body)
            seconds = time.monotonic() - began
            return Start(told, answers, len(body), seconds, connection.sent, connection.received)
        finally:
            connection.close()


async def _measured(
    job: StartsJob | BareStartsJob, start: Callable[[], Awaitable[Start[_Told]]]
) -> tuple[dict[str, Any], list[Start[_Told]]]:
    """Start again and again; the window begins and ends between two starts, so that all of each is in it."""
    window = Window(job.groups)
    starts: list[Start[_Told]] = []
    refusals: list[str] = []

    async def one() -> None:
        try:
            starts.append(await start())
        except (Refused, OSError, TimeoutError) as refusal:
            refusals.append(str(refusal) or type(refusal).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)

    await _until(time.monotonic() + job.warm_up_seconds, one)
    starts.clear()
    window.begin()
    await _until(time.monotonic() + job.seconds, one)
    window.end()
    window.durations, window.counted = [one.seconds for one in starts], len(starts)
    return {**window.report(), "refused": len(refusals), "reasons": sorted(set(refusals)), **_bytes_of(starts)}, starts


async def _until(end: float, one: Callable[[], Awaitable[None]]) -> None:
    """Do it once, and then again and again until it is over."""
    await one()
    while time.monotonic() < end:
        await one()


def _bytes_of(starts: Sequence[Start[_Told]]) -> dict[str, Any]:
    count, last = len(starts), starts[-1] if starts else None
    return {
        "request_bytes": last.request_bytes if last else 0,
        "frames": last.told.sizes if last else [],
        "answers": last.answers if last else [],
        "sent_bytes": sum(one.sent for one in starts) / count if count else 0.0,
        "received_bytes": sum(one.received for one in starts) / count if count else 0.0,
    }


def _counted(job: StartsJob, devices: Sequence[Device]) -> dict[str, int]:
    """Say what each app has to be told, and how much of it has not come, or was told though it was known."""
    shown = min(SHOWN, job.rooms)
    rooms, messages = (0, MISSED * shown) if job.is_resumed else (job.rooms, LAST * shown)
    lost = sum(
        max(0, rooms - len(device.room_ids))
        + max(0, job.rooms - len(device.read_states))
        + max(0, messages - device.messages)
        for device in devices
    )
    doubled = sum(max(0, len(device.room_ids) - rooms) + max(0, device.messages - messages) for device in devices)
    return {"rooms": rooms, "read_states": job.rooms, "messages": messages, "lost": lost, "doubled": doubled}
