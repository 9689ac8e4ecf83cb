"""The command line of `chatkit replay`: progress while it goes on, a table at its end."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chatkit_client import connect
from services.stack import sign_in
from services.stack.home import Home
from services.stack.progress import progress_bar
from services.stack.replay.export import Export, read
from services.stack.replay.player import Player, ReplayStopped, Result
from services.stack.terminal import printable
from services.stack.trouble import Trouble

_HELD_BACK = """
Senders were held back by their rate, so this is not how fast the suite is. A sender may send as often in a second as
SENDS_PER_USER_PER_SECOND says; for a replay that is not, start with CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND=100000."""
_LIFETIME = timedelta(days=1)
_OPTIONS = (("grpc.enable_http_proxy", 0),)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Play an export; the exit status is 1 when anything was refused, lost, doubled or out of order."""
    address = home.running_address()
    export = read(Path(arguments.folder))
    try:
        result = asyncio.run(_play(home, address, export))
    except ExceptionGroup as group:
        stopped, rest = group.split(ReplayStopped)
        if rest is not None or stopped is None:
            raise
        raise Trouble(f"the replay stopped: {_first(stopped)}") from None
    for refused in result.refused:
        sys.stderr.write(f"{printable(refused.where)}: {printable(refused.why)}\n")
    print(json.dumps(_summary(result)) if arguments.json else _table(result))
    if not arguments.json and result.turned_away["RATE_EXCEEDED"]:
        print(_HELD_BACK)
    return 0 if result.is_sound and not result.refused else 1


async def _play(home: Home, address: str, export: Export) -> Result:
    def token(user_id: str | None) -> str:
        return sign_in.token(home, user_id, su=user_id is None, lifetime=_LIFETIME)

    total = sum(len(room.messages) for room in export.rooms)
    with progress_bar() as progress:
        task = progress.add_task(f"{len(export.rooms)} rooms", total=total)
        async with connect(address, token(None), options=_OPTIONS) as client:
            player = Player(client, token, lambda count: progress.advance(task, count))
            return await player.play(export)


def _summary(result: Result) -> dict[str, object]:
    return {
        "sent": result.sent,
        "already_there": result.already_there,
        "skipped": dict(result.skipped),
        "refused": [asdict(refused) for refused in result.refused],
        "delivered": result.delivered,
        "lost": result.lost,
        "doubled": result.doubled,
        "out_of_order": result.out_of_order,
        "turned_away": dict(result.turned_away),
        "messages_per_second": round(result.rate, 1),
        "seconds": round(result.seconds, 2),
    }


def _table(result: Result) -> str:
    table = Table(box=None, show_header=False)
    for name, value in _summary(result).items():
        shown = value
        if isinstance(value, dict):
            shown = ", ".join(f"{count} {reason}" for reason, count in value.items()) or 0
        elif isinstance(value, list):
            shown = len(value)
        table.add_row(name.replace("_", " "), f"{shown:,}" if isinstance(shown, int) else str(shown))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()


def _first(group: ExceptionGroup[ReplayStopped]) -> ReplayStopped:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
