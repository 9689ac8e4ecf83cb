"""Copies of one schema: made and put back with PostgreSQL's own programs, each in one transaction."""

import subprocess
from pathlib import Path

from services.stack.machine.cluster import BINARIES
from services.stack.trouble import Trouble


def copy(dsn: str, schema: str, file: Path) -> None:
    """Copy a schema into a file, as it is at one moment."""
    _run("pg_dump", "--format=custom", f"--schema={schema}", f"--file={file}", f"--dbname={dsn}")


def put_back(dsn: str, schema: str, file: Path) -> None:
    """Let a schema be what a copy holds: all of it or, when anything fails, nothing."""
    # As it is now it may have tables that the copy does not know, so it goes as a whole.
    script = f"DROP SCHEMA IF EXISTS {schema} CASCADE;\n{_run('pg_restore', '--file=-', str(file))}"
    _run("psql", "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", dsn, script=script)


def _run(program: str, *arguments: str, script: str | None = None) -> str:
    ended = subprocess.run(
        [str(BINARIES / program), *arguments], input=script, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise Trouble(f"{program}: {(ended.stderr.strip() or 'it failed').splitlines()[0]}")
    return ended.stdout
