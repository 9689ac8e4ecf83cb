"""Commands that do little import little, which is what they cost; how long they take decides no test."""

import json
import subprocess
import sys

import pytest

from services.stack import cli
from services.stack.home import Home, State
from tests.stack.commands.typed import commands
from tests.support.databases import ROOT
from tests.support.serving import serving

# Prints, after a command, what was imported for it: what is not Python's own, and what of Python's own is large.
_REPORT = """
import sys
import services.stack.cli as cli
try:
    status = cli.main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
large = {"asyncio", "concurrent", "email", "logging", "multiprocessing", "socket", "ssl", "urllib.request", "xml"}
tops = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"services", "__mp_main__"}
sys.stderr.write("\\n" + " ".join(sorted({"status=" + str(status)} | tops | (large & set(sys.modules)))))
"""
# What an editable install and its environment load before anything of ours.
_ALWAYS = set(
    subprocess.run(
        [sys.executable, "-c", "import sys; print(*{name.partition('.')[0] for name in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
)

# What only those need who run a service.
_OF_SERVICES = {"cryptography", "jwt", "psycopg", "pydantic", "pydantic_settings", "sqlalchemy", "structlog", "uvloop"}


def _imported(*arguments: str) -> set[str]:
    """Run a command in an interpreter of its own, and return what it has imported, and its status."""
    command = [sys.executable, "-c", _REPORT, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ended.stderr.splitlines()[-1].split()) - _ALWAYS


def test_a_token_needs_pythons_own_modules_alone(home: Home) -> None:
    assert _imported("token", "--user", "alice", "--home", str(home.folder)) == {"status=0"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["token", "--help"], 0),
        (["up", "--help"], 0),
        (["replay", "--help"], 0),
        (["watch", "--last", "x"], 2),
        ([], 2),
        (["token", "--home", "/nowhere"], 1),
        *(([name, "--home", "/nowhere"], 1) for name in ("services", "top", "list", "watch", "verify", "replay")),
        (["send", "hello", "--home", "/nowhere"], 1),
        (["import", "x", "--home", "/nowhere"], 1),
        (["export", "x", "--home", "/nowhere"], 1),
    ],
)
def test_so_do_help_and_a_mistake(arguments: list[str], status: int) -> None:
    assert _imported(*arguments) == {f"status={status}"}


def test_the_limits_where_nothing_runs_need_the_contract_alone(home: Home) -> None:
    # protobuf brings logging.
    imported = _imported("limits", "--home", str(home.folder))
    assert imported <= {"status=0", "chatkit", "google", "logging"}, imported


def test_the_limits_of_a_suite_that_runs_need_no_contract(home: Home) -> None:
    row = {"name": "ROOM_MEMBERS", "value": 1, "unit": "items", "description": "members", "planned": False}
    with home.lock(), serving({"/": json.dumps({"limits": [row]})}) as address:
        home.record(State(address))
        imported = _imported("limits", "--home", str(home.folder))
    assert "status=0" in imported
    assert not imported & {"chatkit", "google", "grpc", "asyncio", "logging"}, imported


def test_a_configuration_is_printed_without_what_runs_an_edge(home: Home) -> None:
    imported = _imported("edge", "--print", "--home", str(home.folder))
    assert "status=0" in imported
    # The files of certificates are watched, with a log.
    assert not imported & (_OF_SERVICES - {"structlog"}), imported


def test_what_runs_is_shown_without_what_runs_it(home: Home) -> None:
    with home.lock():
        home.record(State("127.0.0.1:1"))
        imported = _imported("services", "--home", str(home.folder))
    assert "status=0" in imported
    assert not imported & _OF_SERVICES, imported


def test_a_room_is_listed_without_what_runs_a_suite(home: Home) -> None:
    with home.lock():
        home.record(State("127.0.0.1:1"))
        imported = _imported("list", "--home", str(home.folder))
    assert not imported & _OF_SERVICES, imported


def test_every_command_names_a_function_that_is_there() -> None:
    parsers = dict(commands())
    assert {"up", "token", "services", "limits", "replay", "users list"} <= parsers.keys()
    for name, parser in parsers.items():
        assert callable(cli.command(parser.get_default("run"))), name
