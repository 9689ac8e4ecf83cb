"""A PgBouncer in front of a test's database, from the machine's own package: `apt-get install pgbouncer`."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.stack.machine.ports import Port
from services.stack.machine.postgres import as_ordinary_user
from tests.support.databases import TestDatabase
from tests.support.eventually import until

BINARY = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


@asynccontextmanager
async def pgbouncer(database: TestDatabase, service: str, pool_mode: str) -> AsyncIterator[str]:
    """Run one in a pool mode, and yield the URL at which a service finds its database behind it."""
    assert BINARY is not None
    port = Port("127.0.0.1")
    host, _, number = port.address.rpartition(":")
    told = urlsplit(database.dsn(service))
    role, password = unquote(told.username or ""), unquote(told.password or "")
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{role}" "{password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{database.name} = host={database.postgres.socket_folder} dbname={database.name}\n"
            f"[pgbouncer]\nlisten_addr = {host}\nlisten_port = {number}\nunix_socket_dir =\nso_reuseport = 1\n"
            f"auth_type = plain\nauth_file = {folder / 'users.txt'}\npool_mode = {pool_mode}\n"
        )
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *as_ordinary_user(), BINARY, str(folder / "pgbouncer.ini"), stdout=log, stderr=log
            )
        try:
            await until(lambda: _listens(host, int(number)))
            assert process.returncode is None, (folder / "log").read_text()
            yield f"postgresql://{told.netloc.rpartition('@')[0]}@{host}:{number}/{database.name}"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            port.release()


async def _listens(host: str, number: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, number)
    except OSError:
        return False
    writer.close()
    return True
