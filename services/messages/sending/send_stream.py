"""One stream of sends: what is known needs no waiting, and what must be asked for holds up its own room only.

A task reads, as long as there is a place for what it reads. A message for which nobody need be asked goes to the
committer in the step in which it is taken. Others wait for a task of their room, which asks for all that wait there
together; until it has done so the room's messages wait for one another, so that none overtakes.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.attachments.service import clear_output, file_ids
from services.messages.drafts import Unattached
from services.messages.log.outcomes import Appended, Result, outcome_of
from services.messages.model import Draft
from services.messages.preparing import Preparation, Prepared, Wanted
from services.messages.sending import frames
from services.messages.sending.sampling import Sampling
from services.messages.sending.under_way import MOST_BYTES, Sent, UnderWay
from services.messages.service import Messages
from services.runtime.access.port import AccessQuery
from services.runtime.calls.call import Call
from services.runtime.calls.rates import Rate
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded, Unauthenticated
from services.runtime.contract.policies import method_policy
from services.runtime.contract.validation import Validator
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, UserId
from services.runtime.steps import WAKING, Pace
from services.runtime.streaming.event_queue import EventQueue, failure_of
from services.runtime.streaming.open_streams import expired, warning_time
from services.runtime.tracing.trace import current

_SEND_MESSAGE = pb2.DESCRIPTOR.services_by_name["MessagesService"].methods_by_name["SendMessage"]
# How long a message may take, as a call with it may.
_SECONDS = method_policy(_SEND_MESSAGE).deadline_ms / 1000
# What taking a message counts, and how many bytes of custom data are read for one.
_TAKING, _BYTES_READ = 10, 16
# What the result of a message may say of a file of it that the message does not.
_BYTES_OF_FILE = 6 * 1024
# What is under way is bounded, and this is more: the queue never ends a stream for having too much.
_MOST_WAITING_BYTES = 16 * MOST_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all streams of sends share."""

    messages: Messages
    preparation: Preparation
    validator: Validator
    rate: Rate
    clock: Clock
    sampling: Sampling


class SendStream:
    """A client's stream; `queue` has what is sent to it."""

    def __init__(self, parts: Parts, call: Call, query: AccessQuery) -> None:
        # Whose results it has may have them also when the token has expired, so the queue does not look at it.
        self.queue = EventQueue(None, parts.clock, on_taken=self._sent, most_waiting_bytes=_MOST_WAITING_BYTES)
        self._parts = parts
        self._call = call
        # What is asked of each room.
        self._query = query
        self._count = 0
        self._under_way = UnderWay()
        # What waits for the task of its room.
        self._waiting: dict[RoomId, list[tuple[Sent, Wanted]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._has_read_all = False
        # None once it was said.
        self._warn_at: datetime | None = warning_time(call.caller, parts.clock.now())
        self._trace = current.get()
        self._is_sampled = self._trace is not None and self._trace.is_sampled
        # Why the server ends it, if it does.
        self._error: ChatkitError | None = None

    def begin(self, requests: AsyncIterator[pb2.SendMessagesRequest]) -> None:
        """Take what comes, from now on."""
        self.queue.open(0, [])
        self.beat()
        self._reading = self._run(self._read(requests))

    def beat(self) -> None:
        """Send a sign of life."""
        self._say(frames.HEARTBEAT)
        self.queue.heartbeat_at = self._parts.clock.monotonic()

    def look(self, heartbeat_interval: float) -> int:
        """Do what is due after some time; return how much it was."""
        self.queue.check_progress()
        if self.queue.error is not None:
            self.end(self.queue.error)
            return WAKING
        done = 1
        for sent in self._under_way.overdue():
            self._answer(sent, DeadlineExceeded("DEADLINE_EXCEEDED", "the message took longer than its deadline"))
            done += 1
        if self._parts.clock.monotonic() - self.queue.heartbeat_at >= heartbeat_interval:
            self.beat()
            done += WAKING
        if self._must_warn():
            self._warn_at = None
            self._say(frames.token_expiring_event(self._call.caller.expire_time))
            done += WAKING
        return done

    def end(self, error: ChatkitError) -> None:
        """Take nothing more, and end when all that is under way has its result; the first ending counts."""
        if self._error is None:
            self._error = error
            if self._reading is not None:
                self._reading.cancel()
            self._end_if_answered()

    async def close(self) -> None:
        """Do nothing more for the client; what the committer has is stored nevertheless."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _must_warn(self) -> bool:
        if self._warn_at is None or self._error is not None:
            return False
        return self._warn_at <= self._parts.clock.now() < self._call.caller.expire_time

    def _say(self, event: bytes) -> None:
        self._under_way.waits(len(event))
        self.queue.push(0, event)

    # Its tasks.

    def _run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if (failure := failure_of(task)) is not None:
            self.end(failure)

    async def _read(self, requests: AsyncIterator[pb2.SendMessagesRequest]) -> None:
        # Messages have traces of their own.
        current.set(None)
        pace = Pace()
        async for frame in requests:
            if not frame.requests:
                await self._wait_for_rate()
            for request in frame.requests:
                await self._wait_for_rate()
                await self._under_way.wait_for_place()
                if self._call.caller.expire_time <= self._parts.clock.now():
                    raise expired()
                self._take(request)
                await pace.did(_TAKING + request.custom_data.ByteSize() // _BYTES_READ)
        self._has_read_all = True
        self._end_if_answered()

    async def _wait_for_rate(self) -> None:
        if seconds := self._parts.rate.take(self._call.caller.subject):
            await self._parts.clock.sleep(seconds)

    async def _prepare(self, room_id: RoomId) -> None:
        """Prepare what waits of a room, all together, until nothing waits: then nobody need wait any more."""
        waiting = self._waiting[room_id]
        try:
            while waiting:
                some = list(waiting)
                waiting.clear()
                # What is asked for all together is told by the first that has a trace.
                current.set(next((sent.trace for sent, _ in some if sent.trace is not None), None))
                prepared = await self._prepared([one for _, one in some])
                current.set(None)
                await self._put_prepared([sent for sent, _ in some], prepared)
        finally:
            del self._waiting[room_id]

    async def _prepared(self, wanted: Sequence[Wanted]) -> list[Prepared]:
        """Prepare what may be of several senders, each for themselves: what rooms says of one of them is kept."""
        of_senders: dict[UserId, list[Wanted]] = {}
        for one in wanted:
            of_senders.setdefault(one.sender_id, []).append(one)
        answers = await asyncio.gather(*map(self._parts.preparation.prepare, of_senders.values()))
        of_each = {sender: iter(prepared) for sender, prepared in zip(of_senders, answers, strict=True)}
        return [next(of_each[one.sender_id]) for one in wanted]

    async def _put_prepared(self, sent: Sequence[Sent], prepared: Sequence[Prepared]) -> None:
        unattached = [(one, found) for one, found in zip(sent, prepared, strict=True) if isinstance(found, Unattached)]
        for one, found in zip(sent, prepared, strict=True):
            match found:
                case Draft():
                    self._put(one, found)
                case ChatkitError():
                    self._answer(one, found)
        settled = await self._parts.messages.settle([found for _, found in unattached])
        for (one, _), result in zip(unattached, settled, strict=True):
            self._answer(one, result)

    # A message.

    def _take(self, request: pb2.SendMessageRequest) -> None:
        self._count += 1
        size = request.ByteSize() + _BYTES_OF_FILE * len(file_ids(request.parts))
        trace = self._parts.sampling.begin(self._trace, is_wanted=self._is_sampled)
        sent = Sent(self._count, request.room_id, Deadline.after(_SECONDS), size, trace=trace)
        self._under_way.add(sent)
        try:
            wanted = self._wanted(request, sent.deadline)
            if trace is not None:
                trace.user_id, trace.room_id = wanted.sender_id, request.room_id
            must_wait = wanted.query.room_id in self._waiting
            draft = None if must_wait else self._parts.preparation.draft(wanted)
        except ChatkitError as refusal:
            self._answer(sent, refusal)
            return
        if draft is not None:
            self._put(sent, draft)
        else:
            self._wait(sent, wanted)

    def _wanted(self, request: pb2.SendMessageRequest, deadline: Deadline) -> Wanted:
        # What this version does not know is not stored.
        request.DiscardUnknownFields()
        clear_output(request.parts)
        self._parts.validator.check(request)
        sender = self._call.on_behalf_of(request.sender_id, "sender_id")
        query = replace(self._query, room_id=RoomId(request.room_id), user_id=sender)
        return Wanted(request, sender, query, deadline)

    def _wait(self, sent: Sent, wanted: Wanted) -> None:
        room_id = wanted.query.room_id
        if room_id not in self._waiting:
            self._waiting[room_id] = []
            self._run(self._prepare(room_id))
        self._waiting[room_id].append((sent, wanted))

    def _put(self, sent: Sent, draft: Draft) -> None:
        if sent.trace is None:
            self._store(sent, draft)
            return
        sent.trace.add("admission", sent.trace.began)
        before = current.set(sent.trace)
        try:
            self._store(sent, draft)
        finally:
            current.reset(before)

    def _store(self, sent: Sent, draft: Draft) -> None:
        try:
            stored = self._parts.messages.put(draft, sent.deadline)
        except ChatkitError as refusal:
            self._answer(sent, refusal)
        else:
            stored.add_done_callback(partial(self._stored, sent))

    def _stored(self, sent: Sent, stored: "asyncio.Future[Appended]") -> None:
        self._answer(sent, outcome_of(stored))

    def _answer(self, sent: Sent, result: Result) -> None:
        message = result.message if isinstance(result, Appended) else result
        event = frames.result_event(sent.number, message)
        if sent.trace is not None:
            self._parts.sampling.end(sent.trace, result)
            sent.trace = None
        for released in self._under_way.answer(sent, event):
            self.queue.push(0, released)
        if isinstance(result, Unauthenticated) and not self._call.caller.superuser:
            # The caller is nobody any more. Superusers send for others, of whom one may be so.
            self.end(result)
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if not self._under_way.is_empty:
            return
        if self._has_read_all:
            self.queue.finish()
        elif self._error is not None:
            self.queue.end(self._error)

    def _sent(self, size: int | None) -> None:
        if size is not None:
            self._under_way.taken(size)
