"""`chatkit trace`: what the time of a call or a message went into, as the suite on this machine has kept it."""

import argparse
import json
import shutil
import time
from dataclasses import asdict

from rich.console import Console

from services.stack.home import Home
from services.stack.terminal import printable
from services.stack.traces.reader import Found, find
from services.stack.traces.tree import lines, seconds, started
from services.stack.trouble import Trouble

# Within that time after its end a span is in the file.
_SETTLED_SECONDS = 1.5
_POLL_SECONDS = 0.1
_COLUMNS = 80


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Show the newest trace; of one that goes on, what is known of it."""
    found = _find(home, arguments.what)
    if found is None:
        raise _nothing(home, arguments.what)
    if arguments.json:
        print(_json(found))
    else:
        console = Console(highlight=False)
        for line in lines(found, shutil.get_terminal_size((_COLUMNS, 0)).columns):
            console.print(line, soft_wrap=True)
    return 0


def _find(home: Home, what: str) -> Found | None:
    """Look until all is there that processes are about to tell; where none runs, once."""
    until = time.monotonic() + _SETTLED_SECONDS
    while True:
        found = find(home.traces, what)
        is_settled = found is not None and time.time() - _end(found) > _SETTLED_SECONDS
        if is_settled or time.monotonic() > until or not home.is_up():
            return found
        time.sleep(_POLL_SECONDS)


def _end(found: Found) -> float:
    return started(found.spans).timestamp() + seconds(found.spans)


def _json(found: Found) -> str:
    return json.dumps(
        {
            "trace_id": found.spans[0].trace_id,
            "start_time": started(found.spans).isoformat(),
            "seconds": seconds(found.spans),
            "others": found.others,
            "spans": [asdict(span) for span in found.spans],
        },
        indent=2,
    )


def _nothing(home: Home, what: str) -> Trouble:
    """Say why there may be nothing; what is no home at all is said first."""
    _ = home.instance
    if not home.traces.exists():
        return Trouble(
            f"no traces are in {home.logs}: no call was made yet,"
            " or `up` was started where OTEL_EXPORTER_OTLP_ENDPOINT says who takes them"
        )
    return Trouble(
        f"nothing is known of {printable(what)}: there was no such call or message, it was not sampled"
        f" (CHATKIT_TRACE_PERCENT), or it was so long ago that {home.traces} has it no more"
    )
