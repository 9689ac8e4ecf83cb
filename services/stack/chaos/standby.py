"""A synchronous standby of a PostgreSQL: each commit waits for it, so it has all that was acknowledged."""

import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from services.stack.machine.blocking import to_its_end
from services.stack.machine.cluster import BINARIES, SUPERUSER
from services.stack.machine.postgres import Postgres, as_ordinary_user
from services.stack.trouble import Trouble

_IS_SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass
class Standby:
    """The standby; `is_promoted` once it is none any more."""

    server: Postgres
    is_promoted: bool = False

    def promote(self) -> None:
        """Let it become a primary, on a timeline of its own, and stop it in order."""
        with psycopg.connect(self.server.superuser_dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        self.is_promoted = True
        self.server.stop()


@asynccontextmanager
async def standing_by(primary: Postgres, folder: Path) -> AsyncIterator[Standby]:
    """Let a standby follow while the context is open; afterwards nobody waits for it."""
    standby = Standby(Postgres(folder / "standby", folder / "standby.log", primary.password, primary.max_connections))
    try:
        await to_its_end(partial(_copy, primary, standby.server.data))
        await to_its_end(standby.server.start)
        await to_its_end(partial(_wait_for, primary))
        yield standby
    finally:
        if not standby.is_promoted:
            await to_its_end(partial(_wait_no_longer, primary))
        await to_its_end(standby.server.close)


def _copy(primary: Postgres, data: Path) -> None:
    command = (str(BINARIES / "pg_basebackup"), "-D", str(data), "-h", str(primary.socket_folder), "-U", SUPERUSER)
    how = ("-X", "stream", "--checkpoint=fast", "--write-recovery-conf")
    environment = {**os.environ, "PGPASSWORD": primary.password}
    ended = subprocess.run(
        [*as_ordinary_user(), *command, *how], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise Trouble(f"a standby could not be made: {ended.stderr.strip()}")


def _wait_for(primary: Postgres) -> None:
    """Let each commit wait for the standby, and return once that is so."""
    deadline = time.monotonic() + _SECONDS
    with psycopg.connect(primary.superuser_dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute(_IS_SYNCHRONOUS).fetchone() != (1,):
            if time.monotonic() > deadline:
                raise Trouble("the standby does not follow")
            time.sleep(_POLL_SECONDS)


def _wait_no_longer(primary: Postgres) -> None:
    # A primary that is dead waits for nobody; it is told by its files when it starts again.
    with suppress(psycopg.OperationalError), psycopg.connect(primary.superuser_dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")
