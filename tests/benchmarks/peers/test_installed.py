"""A peer is found where it is installed, and told to archive everything and to limit nothing."""

import json
from pathlib import Path

import pytest

from benchmarks.peers.installed import configuration, find
from services.stack.trouble import Trouble

_ERL, _SCHEMA, _DRIVER = "usr/bin/erl", "usr/share/ejabberd/sql/pg.sql", "usr/lib/erlang/lib/p1_pgsql-1.1.20/x"
_APPLICATION = "usr/lib/x86_64-linux-gnu/ejabberd-23.01-1/ebin/ejabberd.app"


def _install(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_what_debian_installs_is_found(tmp_path: Path) -> None:
    _install(tmp_path, _ERL, _SCHEMA, _DRIVER, _APPLICATION)
    found = find(tmp_path)
    assert (found.version, found.erl, found.schema) == ("23.01", tmp_path / _ERL, tmp_path / _SCHEMA)
    assert found.libraries == tmp_path / "usr/lib/x86_64-linux-gnu"


@pytest.mark.parametrize("missing", [_ERL, _SCHEMA, _DRIVER, _APPLICATION])
def test_what_is_missing_is_said_with_what_installs_it(tmp_path: Path, missing: str) -> None:
    _install(tmp_path, *({_ERL, _SCHEMA, _DRIVER, _APPLICATION} - {missing}))
    with pytest.raises(Trouble, match="apt-get install --no-install-recommends ejabberd erlang-p1-pgsql"):
        find(tmp_path)


def test_everything_is_archived_in_postgresql_and_nothing_is_limited() -> None:
    told = json.loads(configuration(5222, 5432, "postgres", "secret"))
    (listener,) = told["listen"]
    assert (listener["ip"], listener["port"], listener["shaper"]) == ("127.0.0.1", 5222, "none")
    assert (told["sql_type"], told["sql_server"], told["sql_port"]) == ("pgsql", "127.0.0.1", 5432)
    assert told["modules"]["mod_mam"] == {"db_type": "sql", "default": "always"}
    rooms = told["modules"]["mod_muc"]
    assert rooms["default_room_options"]["mam"] is True
    assert (rooms["history_size"], rooms["user_message_shaper"], rooms["room_shaper"]) == (0, "none", "none")
