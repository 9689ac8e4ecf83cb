"""PostgreSQL fails over to a synchronous standby while messages are sent: what was acknowledged is there.

The standby's timeline is another one, so the log's epoch is, too: streams end with LOG_RESET, and positions of before
are answered with a snapshot, never guessed at.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import message_pb2, room_event_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.runtime.data.epoch import IDENTITY
from services.stack.machine.cluster import BINARIES, SUPERUSER
from services.stack.machine.postgres import Postgres, as_ordinary_user
from tests.messages.chat import Chat, Reader, text
from tests.support.databases import TEMPLATE, TestDatabase, make_template
from tests.support.eventually import HANG_SECONDS, until
from tests.support.peers import Peers, serve
from tests.support.suite import running
from tests.support.tokens import user

_CHECKPOINTER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
_SENDERS = 8
# Before the primary dies, and after the standby has taken its place.
_SENDS_BEFORE, _SENDS_AFTER = 60, 20


class _Standing(Postgres):
    """Whichever server stands at an address that services know: a folder, which is a link to the server's own."""

    address: Path

    @property
    def socket_folder(self) -> Path:
        """The address."""
        return self.address


@dataclass
class _Pair:
    """A primary and its synchronous standby, behind one address."""

    primary: Postgres
    standby: Postgres
    address: Path

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and let the address be the standby's."""
        self.primary.kill()
        with psycopg.connect(self.standby.superuser_dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        _point(self.address, self.standby)


def _point(address: Path, server: Postgres) -> None:
    beside = address.with_name("next")
    beside.symlink_to(server.socket_folder)
    beside.rename(address)


@contextmanager
def _pair(folder: Path, primary: Postgres) -> Iterator[_Pair]:
    """Give a primary a synchronous standby."""
    environment = {**os.environ, "PGPASSWORD": primary.password}
    command = (str(BINARIES / "pg_basebackup"), "-D", str(folder / "standby"), "-h", str(primary.socket_folder))
    how = ("-U", SUPERUSER, "-X", "stream", "--checkpoint=fast", "--write-recovery-conf")
    subprocess.run([*as_ordinary_user(), *command, *how], env=environment, check=True, capture_output=True)
    standby = Postgres(folder / "standby", folder / "standby.log", primary.password, primary.max_connections)
    address = folder / "address"
    _point(address, primary)
    with standby:
        with psycopg.connect(primary.superuser_dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            _await_synchronous(connection)
        yield _Pair(primary, standby, address)


def _await_synchronous(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
    while connection.execute(query).fetchone() != (1,):
        pass


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[_Pair, TestDatabase]]:
    """Run two servers of the test's own, with a migrated database."""
    # A socket's path is short.
    with TemporaryDirectory(prefix="pair-") as folder:
        path = Path(folder)
        with Postgres(path / "primary", path / "primary.log", password="superuser", max_connections=60) as primary:
            make_template(primary)
            with _pair(path, primary) as both:
                standing = _Standing(path / "primary", path / "primary.log", "superuser")
                standing.address = both.address
                yield both, TestDatabase(standing, TEMPLATE)


class _Sender:
    """Sends one message after the other, each until it is acknowledged."""

    def __init__(self, chat: Chat, name: str) -> None:
        self._chat = chat
        self._name = name
        self.acknowledged: dict[str, int] = {}

    async def send(self, count: int) -> None:
        """Send so many more."""
        for _ in range(count):
            content = f"{self._name} {len(self.acknowledged)}"
            self.acknowledged[content] = await self._send(content)

    async def _send(self, content: str) -> int:
        while True:
            try:
                return (await self._chat.send(text(content, content))).seq
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - until the standby is reached
                await asyncio.sleep(0.05)


async def _history(chat: Chat) -> list[message_pb2.Message]:
    """Read the whole log from its beginning."""
    found: list[message_pb2.Message] = []
    token = ""
    while True:
        request = pb2.ListMessagesRequest(
            room_id="lobby", direction=pb2.DIRECTION_NEWER, page_size=100, page_token=token
        )
        page = await chat.suite.messages.ListMessages(request, metadata=user("bob"))
        found.extend(page.messages)
        token = page.next_page_token
        if not token:
            return found


async def _ending(reader: Reader) -> room_event_pb2.RoomEvent:
    """Return the last event of a stream that ends."""
    (*_, last) = await reader.until("closed")
    with pytest.raises(grpc.aio.AioRpcError):
        await reader.next()
    return last


@pytest.mark.slow
async def test_what_was_acknowledged_outlives_the_primary_and_no_position_is_guessed_at(
    pair: tuple[_Pair, TestDatabase], tmp_path: Path
) -> None:
    both, database = pair
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with (
        serve(peers),
        running(database, tmp_path, "messages", rooms_address=peers.address, users_address=peers.address) as suite,
    ):
        chat = Chat(suite, peers)
        senders = [_Sender(chat, f"sender {n}") for n in range(_SENDERS)]
        async with chat.reading(last=0) as reader:
            position = (await reader.next()).opened.position
            async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
                for sender in senders:
                    group.create_task(sender.send(_SENDS_BEFORE))
                # In the middle of it.
                await until(lambda: _has_sent(senders, _SENDERS * _SENDS_BEFORE // 3))
                await asyncio.to_thread(both.fail_over)
            ending = await _ending(reader)
            assert ending.closed.reason == error_reason_pb2.LOG_RESET
        await asyncio.gather(*(sender.send(_SENDS_AFTER) for sender in senders))
        acknowledged = {content: seq for sender in senders for content, seq in sender.acknowledged.items()}
        history = await _history(chat)
        # Each once, where it was said to be, and nothing but what was sent.
        assert {message.parts[0].content: message.seq for message in history} == acknowledged
        assert [message.seq for message in history] == list(range(1, len(acknowledged) + 1))
        async with chat.reading(after=position) as again:
            opened = (await again.next()).opened
            assert opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
            assert opened.position.epoch != position.epoch


async def _has_sent(senders: list[_Sender], count: int) -> bool:
    return sum(len(sender.acknowledged) for sender in senders) >= count


def test_a_promoted_server_tells_its_new_timeline_at_once(pair: tuple[_Pair, TestDatabase]) -> None:
    both, _ = pair
    with psycopg.connect(both.primary.superuser_dsn) as connection:
        before = connection.execute(IDENTITY).fetchone()
    with psycopg.connect(both.standby.superuser_dsn) as connection:
        # The first checkpoint of the new timeline, at which the control file tells it, is long in coming.
        (checkpointer,) = connection.execute(_CHECKPOINTER).fetchone() or (0,)
        os.kill(int(checkpointer), signal.SIGSTOP)
        try:
            both.fail_over()
            after = connection.execute(IDENTITY).fetchone()
        finally:
            os.kill(int(checkpointer), signal.SIGCONT)
    assert before is not None
    assert after is not None
    assert (before[0], before[1] + 1) == tuple(after)
