"""`chatkit doctor`: what is wrong with the suite of a home, whether it runs or not, or with a deployment that is told.

Nothing is changed: where nothing runs, PostgreSQL is not started either, and only what lies in the home is looked at.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from psycopg.conninfo import make_conninfo

from services.runtime.release import Release
from services.stack.commit import commit
from services.stack.doctor import told
from services.stack.doctor.database import Server
from services.stack.doctor.examination import Subject, examine
from services.stack.doctor.findings import Finding
from services.stack.doctor.processes import Process
from services.stack.home import Home, State
from services.stack.machine.cluster import DATABASE, SUPERUSER
from services.stack.machine.recorded import environment, find
from services.stack.roles import SERVICES
from services.stack.terminal import printable
from services.stack.trouble import Trouble

_CERTIFICATES = ("CHATKIT_TLS_CERTIFICATE_FILE", "CHATKIT_TLS_CA_FILE", "CHATKIT_EDGE_TLS_CERTIFICATE_FILE")
_JWKS = "CHATKIT_JWKS_FILE"


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Look; the exit status is 1 when something is wrong."""
    if arguments.process or arguments.database or arguments.certificate:
        return _say(examine(deployment(arguments)), arguments, is_running=True)
    # Says it where there is no home.
    _ = home.instance
    is_running = home.is_up()
    status = _say(examine(subject_of(home, is_running=is_running)), arguments, is_running=is_running)
    if not is_running and not arguments.json:
        print(f"nothing runs in {home.folder}, so only what lies there was looked at")
    return status


def _say(findings: Sequence[Finding], arguments: argparse.Namespace, *, is_running: bool) -> int:
    if arguments.json:
        print(json.dumps({"is_running": is_running, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        _print(findings)
    return 1 if findings else 0


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.level:<6}  {printable(str(finding))}")
    if not findings:
        print("nothing is wrong")


def deployment(arguments: argparse.Namespace) -> Subject:
    """Return what is looked at of processes and databases that are told by where they are."""
    return Subject(
        certificates=[Path(file) for file in arguments.certificate],
        databases=[told.database(one) for one in arguments.database],
        processes=[told.process(one) for one in arguments.process],
    )


def subject_of(home: Home, *, is_running: bool) -> Subject:
    """Return what is looked at of a home."""
    state = home.state()
    if not is_running:
        left = [one.name for one in state.processes if find(one) is not None]
        return replace(_files_of(home, os.environ), leftovers=left)
    if not state.address:
        raise Trouble("the suite is starting or stopping: try again in a moment")
    return replace(
        _files_of(home, _told(home)),
        databases=[_database(home, state)],
        processes=_processes(home, state),
        release=Release(os.environ.get("CHATKIT_COMMIT") or commit()).label,
    )


def _files_of(home: Home, told: Mapping[str, str]) -> Subject:
    return Subject(
        folder=home.folder,
        logs=home.logs,
        keys=home.keys_file,
        service_keys=home.service_keys_file,
        jwks=Path(told[_JWKS]) if told.get(_JWKS) else None,
        certificates=[Path(told[name]) for name in _CERTIFICATES if told.get(name)],
    )


def _told(home: Home) -> Mapping[str, str]:
    """Return what the processes that run were told; the edge is told of files that services are not told of."""
    found: dict[str, str] = {}
    for name in (*SERVICES, "edge"):
        # It may just have ended, and others are told the same.
        with suppress(Trouble):
            found |= environment(home, name)
    return found


def _database(home: Home, state: State) -> Server:
    """Return where PostgreSQL is; a folder that is not there where none is recorded, which says so."""
    folder = next((one.address for one in state.processes if one.name == "postgres"), str(home.folder / "no socket"))
    dsn = make_conninfo(host=folder, user=SUPERUSER, password=home.passwords[SUPERUSER], dbname=DATABASE)
    return Server(dsn, log=str(home.logs / "postgres.log"))


def _processes(home: Home, state: State) -> list[Process]:
    """List what should run: what is recorded, and what has ended and is known by where it told its figures."""
    addresses = {one.name: one.address for one in state.processes if one.name != "postgres"}
    names = dict.fromkeys([*addresses, *state.metrics])
    return [
        Process(name, addresses.get(name, ""), state.metrics.get(name, ""), str(home.logs / f"{name}.log"))
        for name in names
    ]
