"""The blocking client does what the async one does, by the same names, in whatever thread it is used."""

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import pytest

import chatkit_client
from chatkit_client import (
    Change,
    ChangeKind,
    ChatkitError,
    ConnectionStatus,
    Gap,
    Reason,
    SignedOut,
    sync,
    text,
)
from chatkit_client.types import PresenceState, RoomDetail, SendMessageRequest
from tests.clients.scripted import HANG, Script, caught_up, message, resumed, serve, snapshot
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.tokens import token

_START = ([snapshot("NEW", 1, 1), message(1), caught_up(1)], HANG)


async def _blocking(work: Callable[[], Any]) -> Any:
    async with asyncio.timeout(HANG_SECONDS):
        return await asyncio.to_thread(work)


def _shape(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


@pytest.mark.parametrize(
    "name", ["Client", "Subscription", "RoomsSubscription", "UserSubscription", "Connection", "Session"]
)
def test_it_has_the_same_names(name: str) -> None:
    blocking, asynchronous = getattr(sync, name), getattr(chatkit_client, name)
    # What tells how a server misbehaves is for those who test servers; `become` for the library itself. What is
    # computed of an async one's attributes is none there.
    names = {known for known in dir(asynchronous) if not known.startswith("_")} - {"repeated", "holes", "become"}
    assert {known for known in dir(blocking) if not known.startswith("_")} - {"streams", "state"} == names - {
        "connection"
    }
    for known in names:
        if inspect.isfunction(getattr(asynchronous, known)):
            assert _shape(getattr(blocking, known)) == _shape(getattr(asynchronous, known)), known
    assert _shape(sync.connect) == _shape(chatkit_client.connect)


async def test_a_conversation_without_an_event_loop(edge: Edge, tmp_path: Path) -> None:
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(threading.current_thread().name)
        return token("alice")

    def converse() -> None:
        with sync.connect(edge.address, fetch) as alice:
            assert alice.users.get_user(user_id="bob").user.id == "bob"
            sent = alice.send("lobby", "Hello")
            outcomes = list(
                alice.send_many(SendMessageRequest(room_id="lobby", parts=[text(f"{n}")]) for n in range(5))
            )
            assert [outcome.message and outcome.message.seq for outcome in outcomes] == [2, 3, 4, 5, 6]
            assert [one.seq for one in alice.history("lobby", 0, 4)] == [1, 2, 3]
            found = sync.pages(alice.messages.list_messages, room_id="lobby", page_size=4)
            assert [[one.seq for one in page.messages] for page in found] == [[6, 5, 4, 3], [2, 1]]
            bob = alice.with_token(token("bob"))
            with bob.subscribe("lobby", 20) as events:
                seen = []
                for event in events:
                    assert not isinstance(event, Gap)
                    seen.append(event.seq)
                    if event.seq == 6:
                        break
                assert [seq for seq in seen if seq] == [1, 2, 3, 4, 5, 6]
                assert events.connection.is_live
                assert events.position is not None
            assert events.connection.state.status is ConnectionStatus.CLOSED
            assert next(events, None) is None
            with bob.subscribe_user() as told:
                assert [event.WhichOneof("event") for _, event in zip(range(3), told, strict=False)][-1] == "caught_up"
            with bob.subscribe_presence(["bob"], online=True) as there:
                presence = next(event.presence for event in there if event.HasField("presence"))
                assert presence.state == PresenceState.PRESENCE_STATE_ONLINE
            file = alice.upload("lobby", b"content", name="a.txt")
            target = BytesIO()
            alice.download("lobby", file.id, target)
            assert target.getvalue() == b"content"
            with pytest.raises(ChatkitError) as refused:
                alice.messages.get_message(room_id="lobby", seq=99)
            assert refused.value.reason is Reason.MESSAGE_NOT_FOUND
            assert sent.sender_id == "alice"

    await _blocking(converse)
    assert fetched
    assert "chatkit-client" not in fetched


async def test_a_device_without_an_event_loop(edge: Edge) -> None:
    def converse() -> None:
        with (
            sync.connect(edge.address, token("alice")) as alice,
            sync.connect(edge.address, token("bob")) as bob,
            alice.session(watch=["bob"]) as session,
        ):
            session.caught_up()
            seen: list[tuple[ChangeKind, int]] = []
            forget = session.on_change(lambda change: seen.append((change.kind, len(session.room("lobby").messages))))
            changes = session.changes()
            sent = session.send("lobby", "Hello")
            bob.send("lobby", "Hi")
            told = [change for _, change in zip(range(2), _of(ChangeKind.MESSAGE_CREATED, changes), strict=False)]
            forget()
            assert [change.user_id for change in told] == ["alice", "bob"]
            assert [message.sender_id for message in session.room("lobby").messages] == ["alice", "bob"]
            assert (ChangeKind.MESSAGE_CREATED, 2) in seen
            assert session.room("lobby").pending == ()
            session.set_read_cursor("lobby", sent.seq)
            session.read_users(["bob"])
            bobs = session.user("bob")
            assert bobs is not None
            assert session.presence("bob") is not None
            session.follow("lobby", RoomDetail.ROOM_DETAIL_READ_STATE)
            session.unfollow("lobby")
            session.watch(["alice"])
            session.unwatch(["bob"])
            session.typing("lobby")
            assert session.connection.is_live
        assert session.connection.state.status is ConnectionStatus.CLOSED
        assert [change.kind for change in changes][-1] is ChangeKind.CLOSED

    await _blocking(converse)


def _of(kind: ChangeKind, changes: Iterator[Change]) -> Iterator[Change]:
    return (change for change in changes if change.kind is kind)


async def test_several_threads_share_a_client(edge: Edge) -> None:
    def converse() -> list[int]:
        with sync.connect(edge.address, token("alice")) as client:
            seqs: list[int] = []
            threads = [
                threading.Thread(target=lambda: seqs.append(client.send("lobby", "Hello").seq)) for _ in range(5)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return sorted(seqs)

    assert await _blocking(converse) == [1, 2, 3, 4, 5]


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Script, sync.Client]]:
    """Lend a client of a server that shows one message, breaks off, shows another, and hangs."""
    script = Script([(_START[0], grpc.StatusCode.UNAVAILABLE), ([resumed(2), message(2)], HANG)])
    async with serve(script) as address:
        client = await _blocking(lambda: sync.connect(address, "t"))
        yield script, client
        await _blocking(client.close)


async def test_the_state_of_a_stream_is_told(scripted: tuple[Script, sync.Client]) -> None:
    _, client = scripted

    def follow() -> list[ConnectionStatus]:
        events = client.subscribe("lobby")
        seen: list[ConnectionStatus] = []
        forget = events.connection.on_change(lambda state: seen.append(state.status))
        next(event for event in events if getattr(event, "seq", 0) == 2)
        forget()
        events.close()
        assert [state.status for state in events.connection.changes()] == [ConnectionStatus.CLOSED]
        return seen

    assert await _blocking(follow) == [
        ConnectionStatus.LIVE,
        ConnectionStatus.LOST,
        ConnectionStatus.CONNECTING,
        ConnectionStatus.LIVE,
    ]


async def test_another_thread_may_close_what_one_waits_for(scripted: tuple[Script, sync.Client]) -> None:
    script, client = scripted
    events = await _blocking(lambda: client.subscribe("lobby"))
    reading = asyncio.create_task(_blocking(lambda: [getattr(event, "seq", 0) for event in events]))
    await script.hanging.wait()
    await eventually(lambda: events.position is not None and events.position.seq == 2)
    await _blocking(events.close)
    assert [seq for seq in await reading if seq] == [1, 2]


async def test_a_function_that_a_client_calls_can_not_wait_for_it(scripted: tuple[Script, sync.Client]) -> None:
    _, client = scripted
    failed: list[RuntimeError] = []

    def call(_state: object) -> None:
        try:
            client.messages.list_messages(room_id="lobby")
        except RuntimeError as error:
            failed.append(error)

    def follow() -> None:
        with client.subscribe("lobby") as events:
            events.connection.on_change(call)
            next(events)

    await _blocking(follow)
    assert failed


async def test_a_token_function_that_signs_out_says_so() -> None:
    def sign_out() -> str:
        raise SignedOut("bye")

    async with serve(Script(log=[1])) as address:

        def call() -> None:
            with sync.connect(address, sign_out) as client:
                client.messages.list_messages(room_id="lobby")

        with pytest.raises(SignedOut, match="bye"):
            await _blocking(call)


_FOLLOW = """
import signal, sys
from chatkit_client import sync
# Who runs tests in the background has told all of it to pass over Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
client = sync.connect(sys.argv[1], "t")
events = client.subscribe("lobby")
for event in events:
    if getattr(event, "seq", 0) == 1 and len(sys.argv) > 2:
        break
    print("got", flush=True)
"""


@pytest.mark.parametrize("leaves", [True, False], ids=["end", "ctrl-c"])
async def test_a_program_ends_quietly_with_a_client_that_is_open(*, leaves: bool) -> None:
    async with serve(Script([_START])) as address:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "always", "-c", _FOLLOW, address, *(["leaves"] if leaves else [])),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        if not leaves:
            for _ in range(3):
                await process.stdout.readline()
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(HANG_SECONDS):
            _, errors = await process.communicate()
    if leaves:
        assert (process.returncode, errors.decode()) == (0, "")
    else:
        assert "KeyboardInterrupt" in errors.decode().splitlines()
