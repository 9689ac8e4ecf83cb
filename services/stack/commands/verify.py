"""`chatkit verify`: what the services know of one another, compared, and what does not fit.

Each service compares what is its own (`python -m services.<name> verify`); this runs them one after another and puts
what they say into one table. Nothing is changed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.stack.home import Home
from services.stack.machine.recorded import environment
from services.stack.roles import SERVICES
from services.stack.terminal import printable

_CANT_SAY = 2


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Compare; the exit status is 1 when something does not fit, 2 when a service could not say."""
    home.running_address()
    status, table = 0, Table("service", "what", "which", "detail", box=None)
    for service in SERVICES:
        ended = _verify(service, environment(home, service))
        status = max(status, min(ended.returncode, _CANT_SAY))
        if ended.returncode >= _CANT_SAY:
            sys.stderr.write("".join(f"{printable(line)}\n" for line in ended.stderr.splitlines()[-1:]))
        for finding in _findings(ended.stdout):
            if arguments.json:
                print(json.dumps(finding, ensure_ascii=False))
            else:
                what = finding["kind"] + (" (note)" if finding["is_note"] else "")
                table.add_row(*(Text(printable(cell)) for cell in (service, what, finding["id"], finding["detail"])))
    if not arguments.json:
        if table.row_count:
            Console(width=10_000 if not sys.stdout.isatty() else None, highlight=False).print(table)
        print(_verdict(status))
    return status


def _verdict(status: int) -> str:
    return ("Everything fits.", "Something does not fit: docs/backup.md says what to do.", "Not all could be said.")[
        status
    ]


def _verify(service: str, told: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"services.{service}", "verify", "--json"]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False)


def _findings(told: str) -> Iterator[dict[str, Any]]:
    for line in told.splitlines():
        yield json.loads(line)
