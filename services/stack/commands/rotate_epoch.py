"""`chatkit rotate-epoch`: after the database was put back to an earlier state, what clients know of the logs is void.

A copy has the identity of what it was copied from, so nothing notices that by itself.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping

from services.stack.home import Home
from services.stack.machine.cluster import DATABASE
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import max_connections
from services.stack.machine.recorded import environment
from services.stack.roles import role_names
from services.stack.trouble import Trouble

_ROLE = role_names("messages")[0]


def run(home: Home, _arguments: argparse.Namespace) -> int:
    """Rotate the epoch, whether the suite runs or not."""
    if not home.data.exists():
        raise Trouble(f"{home.folder} has no database: start it with ./chatkit up")
    with home.lock() as is_free:
        if is_free:
            _at_rest(home)
        else:
            _rotate(environment(home, "messages"))
    return 0


def _at_rest(home: Home) -> None:
    with Postgres(
        home.data, home.logs / "postgres.log", password=home.passwords["postgres"], max_connections=max_connections(0)
    ) as postgres:
        _rotate({**os.environ, "CHATKIT_DATABASE_URL": postgres.dsn(_ROLE, home.passwords[_ROLE], DATABASE)})


def _rotate(environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "services.messages", "rotate-epoch"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Trouble((ended.stderr.strip() or "the epoch could not be rotated").splitlines()[-1])
    print(ended.stdout.strip())
