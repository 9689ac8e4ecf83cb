"""A room under load: what was acknowledged, what every subscriber was given, and when the last of them had it."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from chatkit.messages.v1 import messages_service_pb2, part_pb2, position_pb2

from benchmarks.load.events import Frames, Opening, read_start
from benchmarks.load.http2 import Connection, Head, Receiver, connect
from benchmarks.load.timing import Window, turns

_SERVICE = "/chatkit.messages.v1.MessagesService/"
SEND, SUBSCRIBE, LIST = (_SERVICE + name for name in ("SendMessage", "SubscribeRoom", "ListMessages"))
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_decode_answer = messages_service_pb2.SendMessageResponse.FromString
_tasks: set["asyncio.Task[None]"] = set()


def spawn(work: Coroutine[Any, Any, None]) -> None:
    """Let something happen in the background; a job ends with its process."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


class RoomLog:
    """What is known of one room, over all its members."""

    def __init__(self, room_id: str, window: Window) -> None:
        self.room_id = room_id
        self.window = window
        self.frames = Frames()
        self.subscribers: list[Subscriber] = []
        self.acknowledged: dict[int, float] = {}
        self.delivered = 0
        # Sends that were answered in the window.
        self.sends = 0
        self.last_seq = 0
        self._missing: dict[int, int] = {}
        self._complete_at: dict[int, float] = {}
        self.on_change: Callable[[], None] = lambda: None

    def acknowledge(self, seq: int, began: float) -> None:
        """Learn that a send was answered; `began` is when it was due."""
        self.acknowledged.setdefault(seq, began)
        self.last_seq = max(self.last_seq, seq)
        if self.window.is_open:
            self.sends += 1

    def deliver(self, seqs: range) -> None:
        """Learn that one subscriber was given these."""
        count = len(seqs)
        self.delivered += count
        if self.window.is_open:
            self.window.counted += count
        missing = self._missing
        for seq in seqs:
            left = missing.get(seq, len(self.subscribers)) - 1
            missing[seq] = left
            if not left:
                self._complete_at[seq] = time.monotonic()
                del missing[seq]

    def last_deliveries(self, begin: float, end: float) -> list[float]:
        """Return how long each send due in that time took to reach its last subscriber."""
        return [
            self._complete_at[seq] - began
            for seq, began in self.acknowledged.items()
            if begin <= began <= end and seq in self._complete_at
        ]

    @property
    def lost(self) -> int:
        """Deliveries of acknowledged messages that did not come."""
        return sum(sub.holes + max(0, self.last_seq - sub.last) for sub in self.subscribers)

    @property
    def doubled(self) -> int:
        """Deliveries that came twice or out of order."""
        return sum(sub.doubled for sub in self.subscribers)

    @property
    def is_complete(self) -> bool:
        """Whether every subscriber has what was acknowledged."""
        return all(sub.last >= self.last_seq for sub in self.subscribers)


class Member:
    """A member's connection; it is made again when it was lost."""

    def __init__(self, address: str, token: str, connect_with: Callable[[str], Any] = connect) -> None:
        self._address = address
        self._connect_with = connect_with
        self.token = token
        self._connecting = asyncio.Lock()
        self.connection: Connection | None = None
        self.send_head = Head(SEND, token)
        self.subscribe_head = Head(SUBSCRIBE, token)
        self.list_head = Head(LIST, token)

    def call(self, head: Head, body: bytes, receiver: Receiver) -> None:
        """Make a call; without a connection one is made first, and if none can be had the call ends."""
        if self.connection is not None and self.connection.is_open:
            self.connection.call(head, body, receiver)
        else:
            spawn(self._connect_and_call(head, body, receiver))

    async def _connect_and_call(self, head: Head, body: bytes, receiver: Receiver) -> None:
        async with self._connecting:
            if self.connection is None or not self.connection.is_open:
                with suppress(OSError):
                    self.connection = await self._connect_with(self._address)
        if self.connection is None or not self.connection.is_open:
            receiver.ended()
        else:
            self.connection.call(head, body, receiver)


class Subscriber:
    """A member who follows the room and resumes from their own last seq, whatever ended the stream."""

    def __init__(self, log: RoomLog, member: Member) -> None:
        self._log = log
        self.member = member
        log.subscribers.append(self)
        self.last = 0
        self.holes = self.doubled = self.resumed = 0
        # Times when a stream did not resume: what is missing must be had from the pages.
        self.snapshots = 0
        self.endings: list[str] = []
        self.caught_up = asyncio.Event()
        # Set when a stream has ended for the first time.
        self.cut = asyncio.Event()
        self.caught_up_at = 0.0
        self.resumes = True
        self._epoch = ""
        self._said = ""
        self._is_live = False
        self._pause = _FIRST_PAUSE

    def open(self) -> None:
        """Follow the room, from the head on at first and then from the last seq that came."""
        self._is_live = False
        self._said = ""
        request = messages_service_pb2.SubscribeRoomRequest(room_id=self._log.room_id, last=0)
        if self._epoch:
            request.after.CopyFrom(position_pb2.Position(epoch=self._epoch, seq=self.last))
        self.member.call(self.member.subscribe_head, request.SerializeToString(), self)

    def message(self, payload: bytes) -> None:
        """Take a frame."""
        if not self._is_live:
            self._start(payload)
        frame = self._log.frames.read(payload)
        if frame.seqs:
            if frame.seqs.start != self.last + 1 or not frame.is_dense:
                self._note_fault(frame.seqs.start)
            self.last = frame.seqs.stop - 1
            self._log.deliver(frame.seqs)
            self._log.on_change()
        elif frame.closed:
            self._said = frame.closed

    def ended(self) -> None:
        """Resume after a pause that grows."""
        self.caught_up.clear()
        self.cut.set()
        self.endings.append(self._said or "without a word")
        if self.resumes:
            loop = asyncio.get_running_loop()
            loop.call_later(self._pause * random.uniform(0.5, 1.0), self.open)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _start(self, payload: bytes) -> None:
        opening, caught_up = read_start(payload)
        if opening is not None:
            self._take_opening(opening)
        if caught_up:
            self._is_live = True
            self._pause = _FIRST_PAUSE
            self.caught_up_at = time.monotonic()
            self.caught_up.set()

    def _take_opening(self, opening: Opening) -> None:
        if not self._epoch:
            self.last = opening.seq
        elif opening.is_resumed:
            self.resumed += 1
        else:
            self.snapshots += 1
        self._epoch = opening.epoch

    def _note_fault(self, first: int) -> None:
        if first > self.last:
            self.holes += first - self.last - 1
        else:
            self.doubled += 1


class Send:
    """One send, repeated with the same bytes until it is answered."""

    def __init__(self, log: RoomLog, member: Member, body: bytes, due: float, done: Callable[[], None]) -> None:
        self._log = log
        self._member = member
        self._body = body
        self._due = due
        self._done = done
        self._is_answered = False
        self.attempts = 0

    def start(self) -> None:
        """Send it."""
        self.attempts += 1
        self._member.call(self._member.send_head, self._body, self)

    def message(self, payload: bytes) -> None:
        """Take the answer."""
        self._is_answered = True
        self._log.acknowledge(_decode_answer(payload).message.seq, self._due)

    def ended(self) -> None:
        """Send again if there was no answer."""
        if self._is_answered:
            self._done()
        else:
            asyncio.get_running_loop().call_later(_FIRST_PAUSE, self.start)


class Senders:
    """All who send, in closed loops or at a rate; stops when told, and then waits for the last answers."""

    def __init__(self, namespace: int, text_bytes: int) -> None:
        self._namespace = namespace
        self._text = "x" * text_bytes
        self._count = self._under_way = 0
        self._stopping = False
        self._idle = asyncio.Event()

    def start_loop(self, log: RoomLog, member: Member) -> None:
        """Send one message after the other."""
        if not self._stopping:
            self._send(log, member, time.monotonic(), lambda: self.start_loop(log, member))

    async def at_rate(self, pairs: list[tuple[RoomLog, Member]], per_second: float) -> None:
        """Send at a rate by turns, whether answers come or not; what is late counts from when it was due."""
        async for turn, due in turns(per_second):
            # It may have been told to stop meanwhile.
            if self._stopping:
                return
            self._send(*pairs[turn % len(pairs)], due, lambda: None)

    async def stop(self) -> None:
        """Send nothing more, and return when everything is answered."""
        self._stopping = True
        if self._under_way:
            await self._idle.wait()

    def _send(self, log: RoomLog, member: Member, due: float, after: Callable[[], None]) -> None:
        self._count += 1
        self._under_way += 1

        def done() -> None:
            self._under_way -= 1
            if not self._under_way and self._stopping:
                self._idle.set()
            after()

        request_id = f"{self._namespace:04x}{self._count:012x}"
        Send(log, member, _body(log.room_id, request_id, self._text), due, done).start()


def _body(room_id: str, request_id: str, text: str) -> bytes:
    parts = [part_pb2.Part(content_type="text/plain", content=text)]
    request = messages_service_pb2.SendMessageRequest(room_id=room_id, request_id=request_id, parts=parts)
    return request.SerializeToString()
