"""ejabberd as a peer: a server and a PostgreSQL of its own in a temporary folder, on free ports of loopback."""

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.load.xmpp.jobs import PASSWORD, Chat
from benchmarks.peers.installed import DATABASE, ROOMS, Installed, configuration
from services.stack.machine.cluster import SUPERUSER
from services.stack.machine.ports import Port
from services.stack.machine.postgres import Postgres
from services.stack.trouble import Trouble

_START_SECONDS, _STOP_SECONDS = 120.0, 60.0
_POLL_SECONDS = 0.05
_USERS = 100
# As its packages start it: kernel polling, and as many processes.
_OPTIONS = ("+K", "true", "+P", "250000", "-noinput")
_ADD_USERS = """
    INSERT INTO users (username, password) SELECT 'user-' || number, %s FROM generate_series(0, %s - 1) AS number
"""
_LAST = "SELECT max(timestamp) FROM archive WHERE username = %s"
_OTHERS = "DELETE FROM archive WHERE username = %s AND timestamp < %s"
# Copies of what ejabberd itself has written, a millisecond apart.
_COPIES = """
    INSERT INTO archive (username, timestamp, peer, bare_peer, xml, txt, kind, nick, created_at)
    SELECT username, timestamp - number * 1000, peer, bare_peer, xml, txt, kind, nick, created_at
    FROM archive, generate_series(1, %s - 1) AS number WHERE username = %s
"""


class _OverTcp(Postgres):
    """A PostgreSQL that can be reached over TCP as well: this ejabberd knows no other way."""

    def dsn(self, user: str, password: str, database: str, folder: str = "") -> str:
        """Return a libpq URL, in which the port names the socket."""
        return f"{super().dsn(user, password, database, folder)}&port={self.settings['port']}"


@dataclass
class Ejabberd:
    """What runs, and how to fill and reach it."""

    address: str
    # Its processes by what the report calls them.
    groups: dict[str, int]
    version: str
    _dsn: str

    def rooms(self, name: str, count: int, members: int) -> list[Chat]:
        """Name rooms, which are made when somebody comes in, with users of their own as far as there are so many."""
        return [
            Chat(
                f"{name}-{number}@{ROOMS}",
                [f"user-{(number * members + member) % _USERS}" for member in range(members)],
            )
            for number in range(count)
        ]

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect to its database, as a superuser and without a transaction."""
        return psycopg.connect(self._dsn, autocommit=True)

    async def stored(self, rooms: list[Chat]) -> int:
        """Count what the archive has of rooms."""
        ids = [room.id for room in rooms]
        rows = await asyncio.to_thread(
            self._execute, [("SELECT count(*) FROM archive WHERE username = ANY(%s)", (ids,))]
        )
        return int(rows[0])

    async def fill(self, room: Chat, count: int) -> None:
        """Let a room's archive have so many messages: copies of the last one in it."""
        (last,) = await asyncio.to_thread(self._execute, [(_LAST, (room.id,))])
        made = [(_OTHERS, (room.id, last)), (_COPIES, (count, room.id))]
        await asyncio.to_thread(self._execute, [*made, ("VACUUM (ANALYZE)", ()), ("CHECKPOINT", ())])

    def _execute(self, statements: list[tuple[Any, tuple[Any, ...]]]) -> tuple[Any, ...]:
        """Execute statements, and return the first row of the last one that has any."""
        row: tuple[Any, ...] = ()
        with self.connect() as connection:
            for statement, values in statements:
                cursor = connection.execute(statement, values)
                row = (cursor.fetchone() or ()) if cursor.description else row
        return row


@contextmanager
def running(installed: Installed) -> Iterator[Ejabberd]:
    """Run ejabberd with an empty archive while the context is open; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="chatkit-ejabberd-") as name:
        folder = Path(name)
        ports = [Port("127.0.0.1", child="reuses address") for _ in range(2)]
        own, database = (int(port.address.rpartition(":")[2]) for port in ports)
        settings = {"listen_addresses": "127.0.0.1", "port": str(database)}
        postgres = _OverTcp(folder / "postgres", folder / "postgres.log", PASSWORD, settings=settings)
        try:
            with postgres:
                dsn = _prepared(postgres, installed)
                (folder / "ejabberd.yml").write_text(configuration(own, database, SUPERUSER, PASSWORD))
                with _server(folder, installed, own) as pid:
                    groups = {"service": pid, "database": postgres.pid}
                    yield Ejabberd(ports[0].address, groups, installed.version, dsn)
        finally:
            for port in ports:
                port.release()


def _prepared(postgres: Postgres, installed: Installed) -> str:
    """Make the database with its tables and users, and return how to reach it."""
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    dsn = postgres.dsn(SUPERUSER, PASSWORD, DATABASE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(installed.schema.read_bytes())
        connection.execute(_ADD_USERS, (PASSWORD, _USERS))
    return dsn


@contextmanager
def _server(folder: Path, installed: Installed, port: int) -> Iterator[int]:
    """Run the server while the context is open; yields its process, which is no node that others could reach."""
    log, spool = folder / "ejabberd.log", folder / "spool"
    spool.mkdir()
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_LIBS": str(installed.libraries),
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(log),
    }
    command = [str(installed.erl), *_OPTIONS, "-mnesia", "dir", f'"{spool}"', "-s", "ejabberd"]
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # A terminal's Ctrl-C is for the command alone, which then stops everything in order.
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "out.log")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when the server takes connections."""
    deadline = time.monotonic() + _START_SECONDS
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise Trouble(f"ejabberd did not start:\n{last}")
        time.sleep(_POLL_SECONDS)


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), _POLL_SECONDS).close()
        return True
    return False
