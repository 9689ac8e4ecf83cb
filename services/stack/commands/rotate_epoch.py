"""`chatkit rotate-epoch`: after the database was put back to an earlier state, what others know by positions is void.

A copy has the identity of what it was copied from, so nothing notices that by itself. Each service whose positions
others keep has an epoch of its own.
"""

import argparse
import os
from collections.abc import Mapping

from services.stack.home import Home
from services.stack.machine.cluster import DATABASE
from services.stack.machine.epochs import rotated
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import max_connections
from services.stack.machine.recorded import environment
from services.stack.roles import EPOCHS, role_names
from services.stack.trouble import Trouble


def run(home: Home, _arguments: argparse.Namespace) -> int:
    """Rotate the epochs, whether the suite runs or not."""
    if not home.data.exists():
        raise Trouble(f"{home.folder} has no database: start it with ./chatkit up")
    with home.lock() as is_free:
        if is_free:
            _at_rest(home)
        else:
            _rotate({service: environment(home, service) for service in EPOCHS})
    return 0


def _at_rest(home: Home) -> None:
    with Postgres(
        home.data, home.logs / "postgres.log", password=home.passwords["postgres"], max_connections=max_connections(0)
    ) as postgres:
        roles = {service: role_names(service)[0] for service in EPOCHS}
        urls = {service: postgres.dsn(role, home.passwords[role], DATABASE) for service, role in roles.items()}
        _rotate({service: {**os.environ, "CHATKIT_DATABASE_URL": url} for service, url in urls.items()})


def _rotate(environments: Mapping[str, Mapping[str, str]]) -> None:
    for service, told in environments.items():
        print(f"{service}: {rotated(service, told)}", flush=True)
