"""A session shows what a device's user has, and keeps it current through restarts of whoever tells it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chatkit_client import (
    Change,
    ChangeKind,
    ChatkitError,
    ConnectionState,
    ConnectionStatus,
    Reason,
    Session,
    StreamPart,
    connect,
    text,
)
from chatkit_client.types import PresenceState, RoomDetail
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.tokens import token

_ALL = frozenset(StreamPart)


@asynccontextmanager
async def _session(edge: Edge, user_id: str, **options: Any) -> AsyncIterator[Session]:
    async with connect(edge.address, token(user_id)) as client, client.session(**options) as session:
        async with asyncio.timeout(HANG_SECONDS):
            await session.caught_up()
        yield session


@pytest.fixture
async def alice(edge: Edge) -> AsyncIterator[Session]:
    """Lend a session of alice, who watches bob."""
    async with _session(edge, "alice", watch=["bob"]) as session:
        yield session


@pytest.fixture
async def bob(edge: Edge) -> AsyncIterator[Session]:
    """Lend a session of bob, who is not online by it."""
    async with _session(edge, "bob", online=False) as session:
        yield session


def _texts(session: Session, room_id: str = "lobby") -> list[str]:
    return [message.parts[0].content for message in session.room(room_id).messages]


def _noted(session: Session) -> list[Change]:
    seen: list[Change] = []
    session.on_change(seen.append)
    return seen


def _kinds(changes: list[Change]) -> list[ChangeKind]:
    return [change.kind for change in changes]


async def _until(session: Session, holds: Callable[[], object]) -> None:
    await eventually(holds)
    assert session.connection.is_live


async def test_it_shows_rooms_with_members_messages_and_what_is_unread(edge: Edge, alice: Session) -> None:
    (lobby,) = alice.rooms()
    assert lobby.room is not None
    assert (lobby.id, lobby.room.name) == ("lobby", "lobby")
    assert lobby.member_ids == {"alice", "bob"}
    assert (lobby.messages, lobby.has_older, lobby.closed) == ((), False, None)
    assert alice.user_id == "alice"
    async with _session(edge, "bob") as bob:
        await bob.send("lobby", "one")
        await bob.send("lobby", "two")
        await _until(alice, lambda: _texts(alice) == ["one", "two"])
        await eventually(lambda: (state := alice.room("lobby").read_state) is not None and state.unread_count == 2)
        await alice.set_read_cursor("lobby")
        await eventually(lambda: (state := alice.room("lobby").read_state) is not None and not state.unread_count)
        await eventually(lambda: bob.room("lobby").cursors["alice"].seq == 2)
        await edge.suite.make_room("attic", "bob", "alice")
        await eventually(lambda: {room.id for room in alice.rooms()} == {"lobby", "attic"})
        await bob.send("attic", "up here")
        await eventually(lambda: "attic" in {room.id for room in alice.rooms() if room.messages})
        assert lobby.messages == ()


async def test_it_shows_who_is_there_and_who_is_typing(edge: Edge, alice: Session) -> None:
    assert alice.presence("bob").state == PresenceState.PRESENCE_STATE_OFFLINE  # type: ignore[union-attr]
    async with _session(edge, "bob") as bob:
        await eventually(
            lambda: (told := alice.presence("bob")) is not None and told.state == PresenceState.PRESENCE_STATE_ONLINE
        )
        changes = _noted(alice)
        await bob.typing("lobby")
        await eventually(lambda: alice.room("lobby").typing_ids == {"bob"})
        await eventually(lambda: not alice.room("lobby").typing_ids)
        assert _kinds(changes) == [ChangeKind.TYPING, ChangeKind.TYPING]
        assert alice.presence("carol") is None


async def test_each_change_is_told_once_and_in_order(edge: Edge, alice: Session, bob: Session) -> None:
    changes = alice.changes()
    for number in range(5):
        await bob.send("lobby", f"{number}")
    async with asyncio.timeout(HANG_SECONDS):
        seqs = []
        async for change in changes:
            if change.kind is ChangeKind.MESSAGE_CREATED:
                assert change.message is not None
                seqs.append((change.seq, change.message.parts[0].content, change.user_id))
            if len(seqs) == 5:
                break
    assert seqs == [(number + 1, f"{number}", "bob") for number in range(5)]


async def test_an_edit_and_a_deletion_are_shown(edge: Edge, alice: Session, bob: Session) -> None:
    for content in ("one", "two"):
        await bob.send("lobby", content)
    await eventually(lambda: len(_texts(alice)) == 2)
    changes = _noted(alice)
    async with connect(edge.address, token("bob", su=True)) as client:
        await client.messages.edit_message(room_id="lobby", seq=1, parts=[text("changed")])
        await client.messages.delete_message(room_id="lobby", seq=2)
    await eventually(lambda: _texts(alice) == ["changed"])
    told = [change for change in changes if change.seq]
    assert [(change.kind, change.seq) for change in told] == [
        (ChangeKind.MESSAGE_CHANGED, 3),
        (ChangeKind.MESSAGE_DELETED, 4),
    ]


async def test_a_message_of_ones_own_is_pending_until_its_event_has_come(alice: Session) -> None:
    seen: list[tuple[int, int]] = []
    alice.on_change(lambda _: seen.append((len(alice.room("lobby").pending), len(alice.room("lobby").messages))))
    sent = await alice.send("lobby", "mine")
    await eventually(lambda: _texts(alice) == ["mine"])
    assert alice.room("lobby").pending == ()
    assert alice.room("lobby").messages == (sent,)
    # At no moment it is there twice, or not at all.
    assert {pending + messages for pending, messages in seen} == {1}


async def test_a_message_that_was_refused_stays_until_it_is_sent_again_or_taken_away(
    edge: Edge, alice: Session
) -> None:
    with pytest.raises(ChatkitError) as refused:
        await alice.send("lobby", "x" * 100_000, request_id="long")
    assert [pending.error for pending in alice.room("lobby").pending] == [refused.value]
    alice.discard("lobby", "long")
    assert alice.room("lobby").pending == ()
    async with connect(edge.address, token("alice", su=True)) as client:
        await client.memberships.remove_members(room_id="lobby", user_ids=["alice"])
        with pytest.raises(ChatkitError):
            await alice.send("lobby", "late", request_id="late")
        await client.memberships.add_members(room_id="lobby", user_ids=["alice"])
    await eventually(lambda: alice.room("lobby").closed is None)
    assert (await alice.resend("lobby", "late")).request_id == "late"
    await eventually(lambda: _texts(alice) == ["late"] and not alice.room("lobby").pending)


async def test_another_ones_message_with_the_same_request_id_is_not_taken_for_ones_own(
    edge: Edge, alice: Session, bob: Session
) -> None:
    with pytest.raises(ChatkitError):
        await alice.send("lobby", "x" * 100_000, request_id="same")
    await bob.send("lobby", "bob's", request_id="same")
    await eventually(lambda: _texts(alice) == ["bob's"])
    assert len(alice.room("lobby").pending) == 1


async def test_only_the_newest_are_kept_and_older_ones_are_loaded(edge: Edge, bob: Session) -> None:
    for number in range(10):
        await bob.send("lobby", f"{number}")
    async with _session(edge, "alice", last=4, window=6) as alice:
        assert _texts(alice) == ["6", "7", "8", "9"]
        assert alice.room("lobby").has_older
        for number in range(10, 14):
            await bob.send("lobby", f"{number}")
        await eventually(lambda: _texts(alice) == [f"{number}" for number in range(8, 14)])
        assert await alice.load_older("lobby", 3) == 3
        assert _texts(alice)[:4] == ["5", "6", "7", "8"]
        assert await alice.load_older("lobby") == 5
        assert len(_texts(alice)) == 14
        assert not alice.room("lobby").has_older
        assert await alice.load_older("lobby") == 0


async def test_rooms_are_followed_and_left_and_users_watched_on_the_running_stream(edge: Edge, bob: Session) -> None:
    await edge.suite.make_users("carol")
    for room_id in ("attic", "cellar"):
        await edge.suite.make_room(room_id, "bob", "alice")
    async with _session(edge, "alice", follow_memberships=False) as alice:
        changes = _noted(alice)
        assert {room.id for room in alice.rooms()} == {"lobby", "attic", "cellar"}
        await bob.send("attic", "up here")
        await alice.follow("attic")
        await eventually(lambda: _texts(alice, "attic") == ["up here"])
        await alice.follow("cellar", RoomDetail.ROOM_DETAIL_READ_STATE)
        await bob.send("cellar", "down here")
        await eventually(lambda: (state := alice.room("cellar").read_state) is not None and state.unread_count == 1)
        assert _texts(alice, "cellar") == []
        await alice.unfollow("attic")
        await bob.send("attic", "nobody hears it")
        await alice.follow("lobby")
        await bob.send("lobby", "hello")
        await eventually(lambda: _texts(alice) == ["hello"])
        assert _texts(alice, "attic") == ["up here"]
        with pytest.raises(ChatkitError) as refused:
            await alice.watch(["nobody"])
        assert refused.value.reason is Reason.USER_NOT_FOUND
        await alice.watch(["bob", "carol"])
        await eventually(lambda: alice.presence("bob") and alice.presence("carol"))
        await alice.unwatch(["bob"])
        assert alice.presence("bob") is None
        # It is so on the next stream, too.
        await edge.suite.restart("messages")
        await eventually(lambda: ChangeKind.CAUGHT_UP in _kinds(changes))
        await alice.follow("attic")
        await eventually(lambda: _texts(alice, "attic") == ["up here", "nobody hears it"])
        assert ChangeKind.PART_CLOSED not in _kinds(changes)


async def test_what_was_missed_comes_once_and_in_order_and_the_state_is_told_truly(
    edge: Edge, alice: Session, bob: Session
) -> None:
    changes = _noted(alice)
    states: list[ConnectionState] = [alice.connection.state]
    alice.connection.on_change(states.append)
    await alice.send("lobby", "before")
    await edge.suite.stop("messages")
    await eventually(lambda: not alice.connection.is_live)
    assert alice.connection.state.status in {ConnectionStatus.LOST, ConnectionStatus.CONNECTING}
    assert alice.connection.state.why is not None
    sending = asyncio.create_task(alice.send("lobby", "meanwhile"))
    await eventually(lambda: len(alice.room("lobby").pending) == 1)
    await edge.suite.start("messages", listen=edge.suite.servers["messages"].address)
    await sending
    await bob.send("lobby", "after")
    await eventually(lambda: _texts(alice) == ["before", "meanwhile", "after"])
    await eventually(lambda: alice.connection.is_live and not alice.connection.state.behind)
    assert [change.seq for change in changes if change.seq and change.kind is not ChangeKind.CURSOR] == [1, 2, 3]
    assert ChangeKind.ROOM_RESET not in _kinds(changes)
    assert [state.status for state in states[:2]] == [ConnectionStatus.LIVE, ConnectionStatus.LOST]
    opened, caught_up = states[-2:]
    assert (opened.status, opened.behind) == (ConnectionStatus.LIVE, _ALL)
    assert caught_up == ConnectionState(ConnectionStatus.LIVE)


async def test_rooms_that_were_left_while_nobody_could_tell_are_gone(edge: Edge, alice: Session) -> None:
    await edge.suite.make_room("attic", "bob", "alice")
    await eventually(lambda: len(alice.rooms()) == 2)
    await edge.suite.restart("rooms")
    async with connect(edge.address, token("alice")) as client:
        await client.memberships.leave_room(room_id="attic")
    await eventually(lambda: [room.id for room in alice.rooms()] == ["lobby"])


async def test_a_room_that_may_not_be_read_is_closed_and_says_why(edge: Edge, alice: Session) -> None:
    await edge.suite.make_room("secret", "bob", private=True)
    changes = _noted(alice)
    await alice.follow("secret")
    await eventually(lambda: ChangeKind.ROOM_CLOSED in _kinds(changes))
    (closed,) = [change for change in changes if change.kind is ChangeKind.ROOM_CLOSED]
    assert closed.error is not None
    assert (closed.room_id, closed.error.reason) == ("secret", Reason.ROOM_ACCESS_DENIED)
    with pytest.raises(KeyError):
        alice.room("secret")


async def test_users_are_read_once_and_kept_current(edge: Edge, alice: Session) -> None:
    assert alice.user("bob") is None
    await alice.read_users(alice.room("lobby").member_ids)
    assert alice.user("bob").id == "bob"  # type: ignore[union-attr]
    async with connect(edge.address, token("bob", su=True)) as client:
        await client.users.update_user(user_id="bob", name="Robert")
    await eventually(lambda: (bob := alice.user("bob")) is not None and bob.name == "Robert")


async def test_who_comes_back_is_read_anew_because_their_changes_were_not_told(edge: Edge, alice: Session) -> None:
    await alice.read_users(["bob"])
    async with connect(edge.address, token("admin", su=True)) as client:
        await client.memberships.remove_members(room_id="lobby", user_ids=["bob"])
        await _until(alice, lambda: alice.room("lobby").member_ids == {"alice"})
        await client.users.update_user(user_id="bob", name="Robert")
        assert alice.user("bob") is not None
        await client.memberships.add_members(room_id="lobby", user_ids=["bob"])
    await _until(alice, lambda: "bob" in alice.room("lobby").member_ids)
    assert alice.user("bob") is None
    await alice.read_users(["bob"])
    assert alice.user("bob").name == "Robert"  # type: ignore[union-attr]


async def test_a_message_is_pending_no_longer_than_its_event_may_come(edge: Edge, alice: Session) -> None:
    await alice.send("lobby", "with its event")
    await _until(alice, lambda: not alice.room("lobby").pending)
    await alice.follow("lobby", RoomDetail.ROOM_DETAIL_READ_STATE)
    await _until(alice, lambda: _texts(alice) == [])
    await alice.send("lobby", "without it")
    assert alice.room("lobby").pending == ()
    with pytest.raises(ValueError, match="not followed"):
        await alice.load_older("lobby")
    await alice.unfollow("lobby")
    await alice.send("lobby", "heard by nobody")
    assert alice.room("lobby").pending == ()


async def test_a_session_that_was_closed_tells_so_and_stays_as_it_is(edge: Edge) -> None:
    async with _session(edge, "alice") as alice:
        changes = alice.changes()
        await alice.send("lobby", "last words")
        await eventually(lambda: _texts(alice) == ["last words"])
    assert _texts(alice) == ["last words"]
    assert alice.connection.state == ConnectionState(ConnectionStatus.CLOSED)
    assert [change.kind async for change in changes][-1] is ChangeKind.CLOSED
    assert [change.kind async for change in alice.changes()] == [ChangeKind.CLOSED]


async def test_a_session_that_can_not_be_says_why(edge: Edge) -> None:
    async with connect(edge.address, "no token") as client, client.session() as session:
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(ChatkitError) as refused:
                await session.caught_up()
        assert refused.value.reason is Reason.TOKEN_INVALID
        assert session.connection.state == ConnectionState(ConnectionStatus.CLOSED, refused.value)
