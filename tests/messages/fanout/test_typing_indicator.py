"""Who is typing: shown to others at once, at most once a second, and nowhere afterwards."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from hypothesis import given
from hypothesis import strategies as st

from services.messages.fanout.typing_indicator import TypingIndicator
from services.runtime.bus.port import Exchange, InProcessBus
from services.runtime.ids import RoomId, RoomUid, UserId
from tests.messages.chat import Chat, text
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.nats import running as running_nats
from tests.support.peers import Peers, serve
from tests.support.refusals import refused
from tests.support.suite import running
from tests.support.tokens import Metadata, su, user


async def _type(chat: Chat, metadata: Metadata, user_id: str = "", room_id: str = "lobby") -> None:
    request = pb2.SendTypingRequest(room_id=room_id, user_id=user_id)
    await chat.suite.messages.SendTyping(request, metadata=metadata)


async def test_others_are_shown_who_is_typing_and_the_author_is_not(chat: Chat) -> None:
    async with chat.reading(last=0) as bob, chat.reading(last=0, who="alice") as alice:
        await bob.until("caught_up")
        await alice.until("caught_up")
        await _type(chat, user("alice"))
        shown = await bob.next()
        assert (shown.typing.user_id, shown.seq, shown.room_id) == ("alice", 0, "lobby")
        assert shown.HasField("time")
        # At once again is harmless, and shows nothing more.
        await _type(chat, user("alice"))
        await chat.send(text("done", "1"))
        assert [(await reader.next()).WhichOneof("event") for reader in (bob, alice)] == ["message_created"] * 2
    # Nobody who comes later is told.
    async with chat.reading() as late:
        assert [event.WhichOneof("event") for event in await late.until("caught_up")] == [
            "opened",
            "message_created",
            "caught_up",
        ]


async def test_typing_needs_membership_its_permission_and_somebody_who_types(chat: Chat) -> None:
    await refused(_type(chat, user("carol")), "ROOM_ACCESS_DENIED")
    await refused(_type(chat, user("bob"), "alice"), "SUBJECT_MISMATCH")
    await refused(_type(chat, su()), "SUBJECT_REQUIRED")
    await refused(_type(chat, su(), "nobody"), "USER_NOT_FOUND")
    chat.peers.denied["bob"] = {"room:typing_indicator:create"}
    await refused(_type(chat, user("bob")), "PERMISSION_MISSING")
    await _type(chat, su(), "alice")


async def test_it_reaches_the_subscribers_of_other_replicas(database: TestDatabase, tmp_path: Path) -> None:
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    with running_nats(tmp_path) as nats:
        async with (
            serve(peers),
            running(
                database,
                tmp_path,
                "messages",
                rooms_address=peers.address,
                users_address=peers.address,
                nats=nats,
            ) as suite,
        ):
            first = suite.messages
            await suite.start("messages")
            await eventually(lambda: nats.subscriptions() == 2 * 5)
            async with Chat(suite, peers).reading(last=0) as bob:
                await bob.until("caught_up")
                await first.SendTyping(pb2.SendTypingRequest(room_id="lobby"), metadata=user("alice"))
                assert (await bob.next()).typing.user_id == "alice"


class _Hubs:
    """What is shown, instead of to whom."""

    def __init__(self) -> None:
        self.shown: list[tuple[UUID, str]] = []

    def show(self, room_uid: RoomUid, _event: bytes, *, author_id: str) -> None:
        self.shown.append((room_uid, author_id))


async def test_one_is_shown_once_a_second_in_each_room_wherever_it_comes_from() -> None:
    clock, exchange = ManualClock(), Exchange()
    sides = [_Hubs(), _Hubs()]
    here, there = [TypingIndicator(cast("Any", hubs), InProcessBus(exchange), "typing", clock) for hubs in sides]
    await here.listen()
    await there.listen()
    lobby, other = RoomUid(uuid4()), RoomUid(uuid4())
    for indicator in (here, there, here):
        indicator.show(RoomId("lobby"), lobby, UserId("alice"))
        await clock.advance(0)
    assert [hubs.shown for hubs in sides] == [[(lobby, "alice")]] * 2
    here.show(RoomId("lobby"), lobby, UserId("bob"))
    there.show(RoomId("other"), other, UserId("alice"))
    await clock.advance(1)
    here.show(RoomId("lobby"), lobby, UserId("alice"))
    await clock.advance(0)
    for hubs in sides:
        assert hubs.shown.count((lobby, "alice")) == 2
        assert len(hubs.shown) == 4
    # What is over is not remembered.
    await clock.advance(5)
    here.show(RoomId("lobby"), lobby, UserId("alice"))
    assert len(here._due) == 1


def test_jitter_does_not_put_it_out_and_admits_no_more() -> None:
    clock, hubs = ManualClock(), _Hubs()
    bus = SimpleNamespace(publish=lambda *_: None)
    indicator = TypingIndicator(cast("Any", hubs), cast("Any", bus), "typing", clock)
    room_uid = RoomUid(uuid4())

    def shown_at(seconds: float) -> bool:
        before = len(hubs.shown)
        clock.jump(seconds - clock.monotonic())
        indicator.show(RoomId("lobby"), room_uid, UserId("alice"))
        return len(hubs.shown) > before

    assert [shown_at(seconds) for seconds in (0.0, 0.9, 2.1, 3.0)] == [True] * 4
    # Faster than once a second, each is shown in its second at the most.
    assert sum(shown_at(3 + n / 20) for n in range(1, 201)) <= 10 + 1


@given(st.lists(st.floats(0, 2), max_size=60))
def test_it_is_shown_at_most_once_a_second_on_average_and_never_sooner_than_after_0_8_seconds(
    pauses: list[float],
) -> None:
    clock, hubs, room_uid = ManualClock(), _Hubs(), RoomUid(uuid4())
    bus = SimpleNamespace(publish=lambda *_: None)
    indicator = TypingIndicator(cast("Any", hubs), cast("Any", bus), "typing", clock)
    shown: list[float] = []
    for pause in pauses:
        clock.jump(pause)
        indicator.show(RoomId("lobby"), room_uid, UserId("alice"))
        shown += [clock.monotonic()] * (len(hubs.shown) - len(shown))
    for first, time in enumerate(shown):
        # Of so many, each but the last has a second of its own, less what the last may come too early.
        for last in range(first + 1, len(shown)):
            assert shown[last] - time >= last - first - 0.2 - 1e-6


def test_what_is_no_announcement_is_refused_and_one_without_its_event_shows_nothing() -> None:
    hubs = _Hubs()
    indicator = TypingIndicator(cast("Any", hubs), cast("Any", SimpleNamespace()), "typing", ManualClock())
    with pytest.raises(ValueError, match="the key is not one"):
        indicator.received(b"x" * 16, b"payload")
    indicator.received(uuid4().bytes + b"alice", b"")
    assert hubs.shown == []
