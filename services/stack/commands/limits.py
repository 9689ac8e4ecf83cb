"""`chatkit limits`: what is in force where the suite runs; where it does not, what it would be started with.

The two ways to know need different libraries, and only the one that is used is imported.
"""

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from services.stack.home import Home
from services.stack.terminal import columns
from services.stack.trouble import Trouble

_SECONDS = 5.0


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Print the limits."""
    rows, source = _limits(home)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    shown = [(_name(row), f"{row['value']:,}", row["unit"], row["description"]) for row in rows]
    print(columns(("limit", "in force", "unit", "what it bounds"), shown))
    print(f"\n{source} Each can be overridden with CHATKIT_LIMIT_<NAME>.")
    return 0


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['name']} (planned)" if row["planned"] else str(row["name"])


def _limits(home: Home) -> tuple[list[dict[str, Any]], str]:
    if home.is_up() and home.state().address:
        address = home.running_address()
        return _asked(address)["limits"], f"In force at http://{address}."
    from services.runtime.contract.policies import limits_table  # noqa: PLC0415 - see above

    try:
        rows = limits_table(os.environ)
    except ValueError as error:
        raise Trouble(str(error)) from None
    names = ("name", "value", "unit", "description", "planned")
    told = [{name: getattr(row, name) for name in names} for row in rows]
    return told, "Nothing runs: these are what `up` starts with."


def _asked(address: str) -> dict[str, Any]:
    from services.stack.figures.asking import ask  # noqa: PLC0415 - see above

    answer = ask(address, "/", _SECONDS)
    if answer is None:
        raise Trouble(f"the edge at {address} does not answer")
    return dict(json.loads(answer[1]))
