"""Where ejabberd is, if the machine has it, and how it is told what it needs to be a peer."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.xmpp.jobs import DOMAIN
from services.stack.trouble import Trouble

_HOW = (
    "on Debian, `apt-get install --no-install-recommends ejabberd erlang-p1-pgsql` installs it, and benchmarks/peers.md"
    " says how to do that without starting its server"
)
ROOMS = f"conference.{DOMAIN}"
DATABASE = "ejabberd"
# More than any workload has.
_MOST_IN_A_ROOM = 1_000


@dataclass(frozen=True, slots=True)
class Installed:
    """The programs of ejabberd on this machine."""

    erl: Path
    # Where Erlang finds ejabberd itself.
    libraries: Path
    # The tables of its databases in PostgreSQL.
    schema: Path
    version: str


def find(root: Path = Path("/")) -> Installed:
    """Find what Debian's packages install; raises Trouble with what to do where something is missing."""
    applications = sorted(root.glob("usr/lib/**/ejabberd-*/ebin/ejabberd.app"))
    erl, schema = root / "usr/bin/erl", root / "usr/share/ejabberd/sql/pg.sql"
    if not applications or not erl.exists() or not schema.exists():
        raise Trouble(f"ejabberd is not installed: {_HOW}")
    if not any(root.glob("usr/lib/erlang/lib/p1_pgsql-*")):
        raise Trouble(f"ejabberd is installed without what it needs for PostgreSQL, erlang-p1-pgsql: {_HOW}")
    folder = applications[-1].parents[1]
    version = re.sub(r"^ejabberd-([\d.]+).*", r"\1", folder.name)
    return Installed(erl, folder.parent, schema, version)


def configuration(port: int, database_port: int, user: str, password: str) -> str:
    """Return ejabberd's configuration: all that is said in rooms is archived in PostgreSQL, and nothing is limited.

    JSON is YAML too. What no workload needs is left out, so that it costs nothing.
    """
    listener: dict[str, Any] = {
        "port": port,
        "ip": "127.0.0.1",
        "module": "ejabberd_c2s",
        "access": "all",
        "shaper": "none",
        "max_stanza_size": "infinity",
        "starttls": False,
        "zlib": False,
    }
    rooms: dict[str, Any] = {
        "access": "all",
        "access_create": "all",
        # A room that everybody has left keeps its archive.
        "default_room_options": {"mam": True, "persistent": True, "max_users": _MOST_IN_A_ROOM},
        "history_size": 0,
        "max_users": _MOST_IN_A_ROOM,
        **dict.fromkeys(("user_message_shaper", "room_shaper"), "none"),
    }
    told: dict[str, Any] = {
        "hosts": [DOMAIN],
        "loglevel": "warning",
        "listen": [listener],
        "auth_method": ["sql"],
        "auth_password_format": "plain",
        "s2s_access": "none",
        "sql_type": "pgsql",
        "sql_server": "127.0.0.1",
        "sql_port": database_port,
        "sql_database": DATABASE,
        "sql_username": user,
        "sql_password": password,
        "modules": {"mod_mam": {"db_type": "sql", "default": "always"}, "mod_muc": rooms},
    }
    return json.dumps(told, indent=1)
