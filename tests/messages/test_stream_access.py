"""What access does to calls and running streams: kept answers, removals, roles, and a rooms that is silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2

from tests.messages.chat import Chat, Reader, text
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.peers import Peers, serve
from tests.support.refusals import refused
from tests.support.suite import ready, running
from tests.support.tokens import su, user

READER, WRITER = (2, "reader"), (2, "writer")
GET = "room:messages:get"
PERMISSION_DENIED, NOT_FOUND = 7, 5


def _closed(event: room_event_pb2.RoomEvent) -> tuple[int, str]:
    reason = error_reason_pb2.ErrorReason.Name(event.closed.reason)
    return event.closed.code, reason


async def _ending(reader: Reader) -> tuple[list[int], tuple[int, str]]:
    """Return the seqs of the messages that still came, and how the stream ended."""
    events = await reader.until("closed")
    return [event.seq for event in events if event.HasField("message_created")], _closed(events[-1])


async def test_rooms_is_asked_once_for_many_calls_of_a_kind(chat: Chat) -> None:
    await chat.send_many(10)
    assert chat.peers.checks == 1
    await chat.send(text("hello", "bob's"), "bob")
    assert chat.peers.checks == 2
    listed = pb2.ListMessagesRequest(room_id="lobby")
    got = pb2.GetMessageRequest(room_id="lobby", seq=1)
    for _ in range(3):
        await chat.suite.messages.ListMessages(listed, metadata=user("bob"))
        await chat.suite.messages.GetMessage(got, metadata=user("bob"))
        async with chat.reading() as reader:
            await reader.until("caught_up")
    assert chat.peers.checks == 3


async def test_the_streams_of_a_deleted_room_end_also_those_of_superusers(chat: Chat) -> None:
    chat.peers.add("attic", "bob")
    await chat.send_many(1)
    async with chat.reading() as bob, chat.reading(metadata=su()) as operator, chat.following("lobby", "attic") as both:
        await bob.until("caught_up")
        await operator.until("caught_up")
        await both.until_room("", "caught_up")
        chat.peers.delete("lobby")
        for reader in (bob, operator):
            assert await _ending(reader) == ([], (NOT_FOUND, "ROOM_DELETED"))
        assert _closed((await both.until_room("lobby", "closed"))[-1]) == (NOT_FOUND, "ROOM_DELETED")
        await chat.send(text("x", "1", "attic"), "bob")
        assert (await both.until("message_created"))[-1].room_id == "attic"
    # What was kept of it is of no use any more.
    await refused(chat.send(text("x", "2")), "ROOM_ACCESS_DENIED")


async def test_who_is_refused_is_asked_about_each_time_and_let_in_once_they_may(chat: Chat) -> None:
    for count in (1, 2):
        await refused(chat.send(text("x", "1"), "carol"), "ROOM_ACCESS_DENIED")
        assert chat.peers.checks == count
    chat.peers.add("lobby", "carol")
    await chat.send(text("x", "1"), "carol")


async def test_a_removed_member_is_told_hears_no_more_and_is_refused_from_then_on(chat: Chat) -> None:
    await chat.send(text("before", "1"), "bob")
    async with chat.reading() as reader, chat.reading(who="alice") as other:
        await reader.until("caught_up")
        await other.until("caught_up")
        chat.peers.remove("lobby", "bob")
        assert await _ending(reader) == ([], (PERMISSION_DENIED, "REMOVED_FROM_ROOM"))
        # The kept answer went in the same step.
        await refused(chat.send(text("after", "2"), "bob"), "ROOM_ACCESS_DENIED")
        await refused(reader.next(), "REMOVED_FROM_ROOM")
        await chat.send(text("still here", "3"))
        assert await other.until_seq(2) == [2]


async def test_a_lost_removal_is_noticed_and_every_stream_is_asked_about_again(chat: Chat) -> None:
    async with chat.reading(who="bob") as gone, chat.reading(who="alice") as stays:
        await gone.until("caught_up")
        await stays.until("caught_up")
        chat.peers.remove("lobby", "bob", tell=False)
        assert (await _ending(gone))[1] == (PERMISSION_DENIED, "REMOVED_FROM_ROOM")
        await chat.send(text("still here", "1"))
        assert await stays.until_seq(1) == [1]


async def test_a_reset_asks_about_every_stream_again(chat: Chat) -> None:
    async with chat.reading(who="bob") as gone, chat.reading(who="alice") as stays:
        await gone.until("caught_up")
        await stays.until("caught_up")
        checks = chat.peers.checks
        chat.peers.members["lobby"].discard("bob")
        chat.peers.reset()
        assert (await _ending(gone))[1] == (PERMISSION_DENIED, "REMOVED_FROM_ROOM")
        await chat.send(text("still here", "1"))
        assert await stays.until_seq(1) == [1]
        # Two streams, and alice's send.
        assert chat.peers.checks == checks + 3


async def test_a_role_that_is_taken_ends_the_streams_that_it_allowed(chat: Chat) -> None:
    async with chat.reading(who="bob") as gone, chat.reading(who="alice") as stays:
        await gone.until("caught_up")
        await stays.until("caught_up")
        checks = chat.peers.checks
        chat.peers.assign("bob", READER, room_id="elsewhere", denied=())
        chat.peers.assign("bob", WRITER, denied=[GET])
        assert await _ending(gone) == ([], (PERMISSION_DENIED, "PERMISSION_MISSING"))
        ended = await refused(gone.next(), "PERMISSION_MISSING")
        assert ended.metadata == {"permission": GET}
        assert chat.peers.checks == checks + 1
        listed = pb2.ListMessagesRequest(room_id="lobby")
        await refused(chat.suite.messages.ListMessages(listed, metadata=user("bob")), "PERMISSION_MISSING")
        await chat.send(text("still here", "1"))
        assert await stays.until_seq(1) == [1]


async def test_a_role_that_changes_is_asked_about_for_those_who_have_it_sixteen_at_once(chat: Chat) -> None:
    readers = [f"reader {number}" for number in range(40)]
    chat.peers.members["lobby"].update(readers)
    chat.peers.roles = {"bob": [WRITER], **{reader: [READER] for reader in readers}}
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(chat.reading(who=who)) for who in (*readers, "bob")]
        await asyncio.gather(*(stream.until("caught_up") for stream in streams))
        chat.peers.checks = chat.peers.most_at_once = 0
        chat.peers.hold = asyncio.Event()
        chat.peers.change_role(READER, denied=[GET])
        await eventually(lambda: chat.peers.checks >= 16)
        # By the time that this is answered, one more would have arrived.
        await ready(chat.suite.servers["messages"].address)
        chat.peers.hold.set()
        endings = await asyncio.gather(*(_ending(stream) for stream in streams[:-1]))
        assert endings == [([], (PERMISSION_DENIED, "PERMISSION_MISSING"))] * 40
        assert (chat.peers.checks, chat.peers.most_at_once) == (40, 16)
        await chat.send(text("still here", "1"))
        assert await streams[-1].until_seq(1) == [1]


@pytest.mark.parametrize("may_stay", [True, False])
async def test_a_stream_in_doubt_is_given_nothing_until_rooms_has_answered(chat: Chat, *, may_stay: bool) -> None:
    await chat.send(text("before", "1"))
    async with chat.reading(who="bob") as doubtful, chat.reading(who="alice") as other:
        await doubtful.until("caught_up")
        await other.until("caught_up")
        checks, chat.peers.hold = chat.peers.checks, asyncio.Event()
        chat.peers.assign("bob", READER, denied=() if may_stay else [GET])
        await eventually(lambda: chat.peers.checks == checks + 1)
        await chat.send(text("meanwhile", "2"))
        # Whoever is not in doubt has it.
        assert await other.until_seq(2) == [2]
        chat.peers.hold.set()
        if may_stay:
            assert await doubtful.until_seq(2) == [2]
        else:
            assert await _ending(doubtful) == ([], (PERMISSION_DENIED, "PERMISSION_MISSING"))


async def test_streams_in_doubt_are_asked_about_until_rooms_answers(chat: Chat) -> None:
    async with chat.reading() as reader:
        await reader.until("caught_up")
        chat.peers.unavailable = True
        checks = chat.peers.checks
        chat.peers.assign("bob", READER, denied=[GET])
        await eventually(lambda: chat.peers.checks > checks + 5)
        chat.peers.unavailable = False
        assert await _ending(reader) == ([], (PERMISSION_DENIED, "PERMISSION_MISSING"))


async def test_a_removal_between_the_question_and_the_stream_is_noticed(chat: Chat) -> None:
    first = chat.peers.hold = asyncio.Event()
    async with chat.reading() as reader:
        opening = asyncio.create_task(reader.next())
        await eventually(lambda: chat.peers.asked_about["bob"] == 1)
        chat.peers.remove("lobby", "bob")
        await chat.heard()
        first.set()
        await refused(opening, "ROOM_ACCESS_DENIED")
    assert chat.peers.asked_about["bob"] == 2


async def test_a_removal_after_the_second_question_ends_the_stream_before_it_begins(chat: Chat) -> None:
    first = chat.peers.hold = asyncio.Event()
    async with chat.reading() as reader:
        opening = asyncio.create_task(reader.next())
        await eventually(lambda: chat.peers.asked_about["bob"] == 1)
        # So that the first answer is not kept, and rooms is asked a second time.
        chat.peers.assign("bob", READER)
        await chat.heard()
        second = chat.peers.hold = asyncio.Event()
        first.set()
        await eventually(lambda: chat.peers.asked_about["bob"] == 2)
        chat.peers.remove("lobby", "bob")
        await chat.heard()
        second.set()
        await refused(opening, "REMOVED_FROM_ROOM")


# A rooms that is silent.


class _Leaping:
    """The service on a clock that a test may move forward, and a rooms that comes and goes."""

    def __init__(self, database: TestDatabase, folder: Path) -> None:
        self.clock = LeapingClock()
        self.peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"}, clock=self.clock)
        self._database, self._folder = database, folder

    @asynccontextmanager
    async def chat(self, **changes: float) -> AsyncIterator[Chat]:
        addresses = {"rooms_address": self.peers.address, "users_address": self.peers.address}
        run = running(self._database, self._folder, "messages", clock=self.clock, **addresses, **changes)
        async with run as suite:
            yield Chat(suite, self.peers)


@pytest.fixture
def leaping(database: TestDatabase, tmp_path: Path) -> _Leaping:
    return _Leaping(database, tmp_path)


async def test_streams_end_spread_over_ten_seconds_when_rooms_is_silent_and_hear_nothing_meanwhile(
    leaping: _Leaping, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = iter(range(30))

    def evenly(low: float, high: float) -> float:
        """Return the delays of thirty streams, three in each second of ten."""
        return low + (high - low) * (next(delays) + 0.5) / 30

    monkeypatch.setattr("services.messages.service.random", SimpleNamespace(uniform=evenly))
    async with serve(leaping.peers), leaping.chat() as chat, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(chat.reading()) for _ in range(30)]
        await asyncio.gather(*(stream.until("caught_up") for stream in streams))
        leaping.peers.silent = True
        leaping.clock.leap(25)
        await chat.send(text("in time", "1"))
        await asyncio.gather(*(stream.until_seq(1) for stream in streams))
        endings = [asyncio.create_task(stream.until("closed")) for stream in streams]
        leaping.clock.stop()
        leaping.clock.leap(10)
        # Rooms answers questions all the same: sends go on.
        await chat.send(text("too late", "2"))
        for second in range(11):
            # More than these can't end before the next leap, and fewer are waited for.
            await eventually(lambda: sum(ending.done() for ending in endings) == 3 * second)  # noqa: B023 - awaited here
            # A bit more than the second after which all streams are looked at, because it is added up in floats.
            leaping.clock.leap(1.01)
        events = await asyncio.gather(*endings)
    for seen in events:
        assert not any(event.HasField("message_created") for event in seen)
        assert _closed(seen[-1]) == (14, "SERVICE_UNAVAILABLE")
        assert seen[-1].closed.retry_after.ToMilliseconds() > 0
        assert seen[-1].closed.position.seq == 1


async def test_streams_that_have_not_ended_go_on_when_rooms_is_heard_again(leaping: _Leaping) -> None:
    async with (
        serve(leaping.peers),
        # Nothing but the news that rooms is heard again wakes the stream.
        leaping.chat(access_ending_spread_seconds=1e9, heartbeat_interval_seconds=1e9) as chat,
        chat.reading() as reader,
    ):
        await reader.until("caught_up")
        leaping.peers.silent = True
        leaping.clock.leap(60)
        reading = asyncio.create_task(reader.next())
        await chat.send(text("held back", "1"))
        # It would have come before the second answer, on the same connection.
        await chat.send(text("held back, too", "2"))
        assert not reading.done()
        leaping.peers.silent = False
        assert (await reading).seq == 1
        assert await reader.until_seq(2) == [2]


async def test_without_rooms_members_go_on_for_thirty_seconds_and_are_then_unavailable(leaping: _Leaping) -> None:
    async with AsyncExitStack() as stack:
        async with serve(leaping.peers):
            chat = await stack.enter_async_context(leaping.chat())
            await chat.send(text("with rooms", "1"))
        leaping.clock.leap(20)
        await chat.send(text("without", "2"))
        # What was never asked can't be known.
        await refused(chat.send(text("new", "3"), "bob"), "SERVICE_UNAVAILABLE")
        leaping.clock.leap(11)
        away = await refused(chat.send(text("too late", "4")), "SERVICE_UNAVAILABLE")
        assert away.metadata == {"service": "rooms"}
        assert away.retry_after is not None
        async with serve(leaping.peers, leaping.peers.address):
            await eventually(lambda: leaping.peers.watching)
            await chat.send(text("with rooms again", "5"))
