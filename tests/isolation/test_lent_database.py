"""The database that a test gets can be taken back, whatever the test has left behind."""

import socket
import struct

from services.stack.machine.postgres import Postgres
from tests.support import databases
from tests.support.eventually import eventually

_PROTOCOL = 196_608  # 3.0


async def test_one_who_never_says_who_he_is_does_not_hold_up_the_end(postgres: Postgres) -> None:
    before = postgres.log.stat().st_size
    with socket.socket(socket.AF_UNIX) as half_open:
        with databases.clone(postgres) as database:
            half_open.connect(str(postgres.socket_folder / ".s.PGSQL.5432"))
            _begin(half_open, database.name)
            assert b"SCRAM-SHA-256" in half_open.recv(1024)
        assert not half_open.recv(1024)

    def sent_away_first() -> bool:
        log = postgres.log.read_bytes()[before:]
        return 0 <= log.find(b"canceling authentication") < log.rfind(b"checkpoint starting")

    # DROP DATABASE begins with a checkpoint, then waits until such a one has run out of time.
    await eventually(sent_away_first)


def _begin(connection: socket.socket, database: str) -> None:
    body = struct.pack("!I", _PROTOCOL) + f"user\0postgres\0database\0{database}\0\0".encode()
    connection.sendall(struct.pack("!I", len(body) + 4) + body)
