"""How fast a stream of sends is read, and how it ends: on a clock that a test moves, without a server or a database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import pytest
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.drafts import draft_of
from services.messages.log.outcomes import Appended
from services.messages.model import Draft, LogEntry
from services.messages.preparing import Wanted
from services.messages.sending.sampling import Sampling
from services.messages.sending.send_stream import Parts
from services.messages.sending.send_streams import SendStreams
from services.messages.sending.under_way import MOST_BYTES, MOST_MESSAGES
from services.runtime.access.port import AccessQuery
from services.runtime.calls.call import Call
from services.runtime.calls.rates import Rate
from services.runtime.contract.errors import ChatkitError, Unavailable
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.deadline import NEVER, Deadline
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NO_ROOM, UserId
from services.runtime.streaming.open_streams import OpenStream
from tests.messages.chat import text
from tests.support.clock import ManualClock, deadlines_by
from tests.support.peers import room_uid_of, user_uid_of
from tests.support.sending import word
from tests.support.turns import Turns

_PER_SECOND, _HEARTBEAT_SECONDS = 10, 15.0
_ALICE, _BOB = UserId("alice"), UserId("bob")


class _Log:
    """Has a draft of whatever is wanted, and stores what it is given, at once or when it is told to."""

    def __init__(self, clock: ManualClock) -> None:
        self.put_in: list[tuple[Draft, asyncio.Future[Appended]]] = []
        self.stores_at_once = True
        self.message_bytes = 1
        self.turns = Turns()
        self._clock = clock

    def draft(self, wanted: Wanted) -> Draft:
        room_uid, sender_uid = room_uid_of(wanted.request.room_id), user_uid_of(wanted.sender_id)
        return draft_of(wanted.request, room_uid, wanted.sender_id, sender_uid, wanted.request.parts)

    def put(self, draft: Draft, _deadline: Deadline) -> "asyncio.Future[Appended]":
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.put_in.append((draft, done))
        self.turns.note()
        if self.stores_at_once:
            self.store(len(self.put_in) - 1)
        return done

    def store(self, number: int) -> None:
        """Store one of those that were put in."""
        _, done = self.put_in[number]
        stored = message_pb2.Message(seq=1, parts=text("x" * self.message_bytes, "").parts).SerializeToString()
        done.set_result(Appended(LogEntry.created(1, self._clock.now(), stored), is_new=True))


class _Client:
    """Sends on a stream, and reads from it, or does not."""

    def __init__(self, frames: AsyncIterator[bytes], requests: "asyncio.Queue[Any]", stream: OpenStream) -> None:
        self.stream = stream
        self.told: list[tuple[int, str]] = []
        self.error: ChatkitError | None = None
        self.has_ended = False
        self._frames = frames
        self._requests = requests

    def send(self, *requests: pb2.SendMessageRequest) -> None:
        """Send a frame."""
        self._requests.put_nowait(pb2.SendMessagesRequest(requests=requests))

    def send_many(self, count: int, room_id: str = "lobby") -> None:
        """Send so many messages, a frame for each."""
        for number in range(count):
            self.send(text("x", f"{number}", room_id))

    def fail(self, error: Exception) -> None:
        """Let reading fail."""
        self._requests.put_nowait(error)

    async def read(self) -> None:
        """Read a frame."""
        frame = pb2.SendMessagesResponse.FromString(await anext(self._frames))
        for event in frame.events:
            match event.WhichOneof("event"):
                case "result":
                    self.told.append((event.number, word(event.result)))
                case "closed":
                    self.told.append((0, error_reason_pb2.ErrorReason.Name(event.closed.reason)))
                case other:
                    self.told.append((0, str(other)))

    async def read_all(self) -> None:
        """Read to the end."""
        try:
            while True:
                await self.read()
        except StopAsyncIteration:
            pass
        except ChatkitError as error:
            self.error = error
        self.has_ended = True


class _World:
    """Streams of sends whose messages need nobody to be asked."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = _Log(self.clock)
        them = cast("Any", self.log)
        parts = Parts(
            messages=them,
            preparation=them,
            validator=Validator(Limits()),
            rate=Rate(_PER_SECOND, self.clock),
            clock=self.clock,
            sampling=Sampling(),
        )
        self.streams = SendStreams(parts, heartbeat_interval=_HEARTBEAT_SECONDS)

    @asynccontextmanager
    async def client(
        self, subject: UserId | None = _ALICE, *, reads: bool = True, token_seconds: float = 300.0
    ) -> AsyncIterator[_Client]:
        """Open a stream while the context is open."""
        expire_time = self.clock.now() + timedelta(seconds=token_seconds)
        caller = Caller(subject, superuser=subject is None, service=None, expire_time=expire_time)
        stream = OpenStream(caller, "", self.clock, None)
        query = AccessQuery(NO_ROOM, subject, subject is None, method_policy_pb2.MEMBERSHIP_REQUIRED, "message:create")
        call = Call(caller, subject, query, None, NEVER, stream)
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def requests() -> AsyncIterator[pb2.SendMessagesRequest]:
            while True:
                request = await queue.get()
                if isinstance(request, Exception):
                    raise request
                yield request

        async with aclosing(cast("Any", self.streams.send(requests(), call))) as frames:
            client = _Client(frames, queue, stream)
            # A stream begins with its first frame.
            await client.read()
            reading = asyncio.create_task(client.read_all() if reads else asyncio.sleep(0))
            try:
                yield client
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, a tenth of a second at a time."""
        for _ in range(round(10 * seconds)):
            await self.clock.advance(0.1)


@pytest.fixture
async def world() -> AsyncIterator[_World]:
    made = _World()
    with deadlines_by(made.clock):
        running = asyncio.create_task(made.streams.run())
        yield made
        running.cancel()
        await asyncio.wait({running})


async def test_a_burst_is_read_at_once_and_then_as_many_as_the_rate_says(world: _World) -> None:
    async with world.client() as client, world.client(_BOB) as bob:
        client.send_many(100)
        await world.clock.advance(0)
        assert len(world.log.put_in) == 20
        await world.pass_time(1)
        assert len(world.log.put_in) == 30
        # Nobody else waits for it.
        bob.send_many(10)
        await world.clock.advance(0)
        assert len(world.log.put_in) == 40
        await world.pass_time(8)
        assert {reason for number, reason in client.told if number} == {"OK"}
        assert len([number for number, _ in client.told if number]) == 100


async def test_the_streams_of_a_user_share_their_rate_and_every_message_counts_and_every_empty_frame(
    world: _World,
) -> None:
    async with world.client() as one, world.client() as another:
        for _ in range(5):
            one.send()
            one.send(text("x", ""))
        another.send_many(20)
        await world.clock.advance(0)
        assert len(world.log.put_in) == 10
        await world.pass_time(0.5)
        assert len(world.log.put_in) == 15


async def test_superusers_without_a_subject_have_no_rate_and_take_the_loop_for_no_more_than_a_few_messages(
    world: _World,
) -> None:
    frame = [text("x", f"{number}", sender_id="alice") for number in range(100)]
    async with world.client(None) as client:
        async with world.log.turns:
            for _ in range(2):
                client.send(*frame)
            await world.log.turns.until(lambda: world.log.turns.noted == 200)
        assert world.log.turns.most <= 25


async def test_so_many_messages_wait_for_their_results_and_no_more_are_read(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client(None) as client:
        for number in range(2 * MOST_MESSAGES):
            client.send(text("x", f"{number}", sender_id="alice"))
        await world.pass_time(1)
        assert len(world.log.put_in) == MOST_MESSAGES
        # Of one room, whose first message is still waited for.
        world.log.store(1)
        await world.pass_time(1)
        assert len(world.log.put_in) == MOST_MESSAGES
        world.log.store(0)
        await world.pass_time(1)
        assert len(world.log.put_in) == MOST_MESSAGES + 2
        assert client.told == [(0, "heartbeat"), (1, "OK"), (2, "OK")]


async def test_fewer_messages_with_files_wait_because_their_results_may_be_long(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client(None) as client:
        for number in range(20):
            files = [part_pb2.Part(content_type="image/gif", file_id=f"{file}") for file in range(10)]
            client.send(pb2.SendMessageRequest(room_id="lobby", sender_id="alice", parts=files, request_id=f"{number}"))
        await world.clock.advance(0)
        assert len(world.log.put_in) == 5


async def test_who_takes_no_results_is_read_no_longer_and_ended_and_others_go_on(world: _World) -> None:
    world.log.message_bytes = 5_000
    async with world.client(None, reads=False) as client, world.client(_BOB) as bob:
        for number in range(1_000):
            client.send(text("x" * 5_000, f"{number}", sender_id="alice"))
        await world.pass_time(19)
        taken = len(world.log.put_in)
        assert MOST_BYTES // 5_100 <= taken <= MOST_BYTES // 5_000 + 1
        bob.send_many(3)
        await world.pass_time(3)
        assert len(world.log.put_in) == taken + 3
        assert [number for number, reason in bob.told if reason == "OK"] == [1, 2, 3]
        told = len(client.told)
        await client.read_all()
        assert client.told[told:] == [(0, "SLOW_CONSUMER")]
        assert client.error is not None
        assert client.error.reason == "SLOW_CONSUMER"
        assert len(world.log.put_in) == taken + 3


async def test_who_takes_some_of_the_results_is_read_on(world: _World) -> None:
    world.log.message_bytes = 5_000
    async with world.client(None, reads=False) as client:
        for number in range(200):
            client.send(text("x" * 5_000, f"{number}", sender_id="alice"))
        while (200, "OK") not in client.told:
            reading = asyncio.create_task(client.read())
            await world.pass_time(10)
            await reading
        assert len(world.log.put_in) == 200
        assert [number for number, _ in client.told if number] == list(range(1, 201))


async def test_heartbeats_come_at_once_and_then_at_their_interval(world: _World) -> None:
    async with world.client() as client:
        assert client.told == [(0, "heartbeat")]
        await world.pass_time(_HEARTBEAT_SECONDS - 1)
        assert client.told == [(0, "heartbeat")]
        await world.pass_time(2)
        assert client.told == [(0, "heartbeat")] * 2
        await world.pass_time(4 * _HEARTBEAT_SECONDS)
        assert len(client.told) == 6


@pytest.mark.parametrize(("lifetime", "warns_at"), [(300.0, 240.0), (20.0, 15.0)])
async def test_a_stream_warns_once_before_its_token_ends(world: _World, lifetime: float, warns_at: float) -> None:
    async with world.client(token_seconds=lifetime) as client:
        await world.pass_time(warns_at - 1)
        assert {what for _, what in client.told} == {"heartbeat"}
        await world.pass_time(2)
        client.send(text("x", "1"))
        await world.pass_time(lifetime - warns_at - 2)
        assert [what for _, what in client.told if what != "heartbeat"] == ["token_expiring", "OK"]


async def test_a_message_that_takes_too_long_is_told_so_and_its_place_is_free(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client() as client:
        client.send(text("x", "1"))
        await world.pass_time(2)
        client.send(text("x", "2"))
        await world.pass_time(9.5)
        assert client.told[1:] == [(1, "DEADLINE_EXCEEDED")]
        world.log.store(1)
        await world.pass_time(3)
        assert client.told[1:] == [(1, "DEADLINE_EXCEEDED"), (2, "OK")]
        # What it becomes afterwards is nobody's business any more.
        world.log.store(0)
        await world.pass_time(1)
        assert client.told[1:3] == [(1, "DEADLINE_EXCEEDED"), (2, "OK")]
        assert (1, "OK") not in client.told


def _goes_down() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "")


async def test_a_process_that_ends_answers_what_is_under_way_and_takes_nothing_more(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client() as client, world.client(_BOB) as idle:
        client.send(text("x", "1"))
        await world.clock.advance(0)
        world.streams.end_all(_goes_down)
        client.send(text("x", "2"))
        await world.pass_time(1)
        assert idle.told == [(0, "heartbeat"), (0, "SHUTTING_DOWN")]
        assert (idle.has_ended, client.told) == (True, [(0, "heartbeat")])
        world.log.store(0)
        await world.pass_time(1)
        assert client.told[1:] == [(1, "OK"), (0, "SHUTTING_DOWN")]
        assert client.error is not None
        assert client.error.reason == "SHUTTING_DOWN"
        assert len(world.log.put_in) == 1


async def test_nothing_is_taken_with_a_token_that_has_expired_and_what_was_is_answered(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client(token_seconds=3) as client:
        client.send(text("x", "1"))
        await world.clock.advance(0)
        # Nobody has looked at it yet when the next message comes.
        world.clock.jump(3)
        client.send(text("x", "2"))
        await world.clock.advance(0)
        assert len(world.log.put_in) == 1
        world.log.store(0)
        await world.pass_time(1)
        assert client.told[1:] == [(1, "OK"), (0, "TOKEN_EXPIRED")]
        assert client.has_ended


async def test_the_first_ending_counts_and_a_goodbye_is_one(world: _World) -> None:
    world.log.stores_at_once = False
    async with world.client() as client:
        client.send(text("x", "1"))
        await world.clock.advance(0)
        client.stream.end(Unavailable("SHUTTING_DOWN", ""))
        world.streams.end_all(lambda: Unavailable("SERVICE_UNAVAILABLE", ""))
        world.log.store(0)
        await world.pass_time(1)
        assert client.told[1:] == [(1, "OK"), (0, "SHUTTING_DOWN")]


async def test_reading_that_fails_by_a_mistake_of_ours_ends_the_stream_as_one(world: _World) -> None:
    async with world.client() as client:
        client.send(text("x", "1"))
        client.fail(ZeroDivisionError("a mistake"))
        await world.pass_time(1)
        assert client.told[1:] == [(1, "OK"), (0, "INTERNAL")]
        assert client.error is not None
        assert isinstance(client.error.__cause__, ZeroDivisionError)


async def test_whoever_breaks_off_leaves_no_task_and_cancels_nothing(world: _World) -> None:
    world.log.stores_at_once = False
    await asyncio.sleep(0)
    before = asyncio.all_tasks()
    async with world.client() as client:
        client.send_many(30)
        await world.clock.advance(0)
    assert asyncio.all_tasks() == before
    assert not any(done.cancelled() for _, done in world.log.put_in)
    for number in range(len(world.log.put_in)):
        world.log.store(number)
    await world.pass_time(_HEARTBEAT_SECONDS + 5)
