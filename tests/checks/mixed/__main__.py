"""`python -m tests.checks.mixed [COMMIT]`: whether the services of this checkout work together with those of a commit.

All of the older one that are upgraded, schemas first, one service of either beside the rest of the other, two replicas
of each, and replicas that are upgraded and rolled back, while clients record what they see. The status is 0 when every
promise was kept and nothing failed, 1 when not, and 2 when it can't be tried.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import assert_never

from services.stack.trouble import Trouble
from tests.checks.mixed.arrangements import Arrangement, Migration, Restart, Step, arrangements
from tests.checks.mixed.counts import Counts, is_sound, summary, table
from tests.checks.mixed.processes import Machine, Running, machine
from tests.checks.mixed.releases import CanNotTell, checkout, default_revision, this
from tests.checks.mixed.traffic import Traffic, causes
from tests.support.eventually import eventually

_CAN_NOT_TELL, _INTERRUPTED = 2, 130
# How long an arrangement may take, and how much longer for each step.
_PATIENCE_SECONDS, _PATIENCE_OF_A_STEP_SECONDS = 180.0, 60.0
# After a restart: long enough for everybody to call the process that has come.
_SETTLE_SECONDS = 1.0
_SOME_MORE = 30


def main() -> int:
    """Try every arrangement, print what was counted, and return the exit status."""
    told = _parser().parse_args()
    # What a time limit sends ends the processes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkit-mixed-")))
            newer, older = this(), stack.enter_context(checkout(told.commit or default_revision(), folder))
            for release in (newer, older):
                release.check()
            say(f"older: {older}, newer: {newer}")
            lent = stack.enter_context(machine(folder, {"older": older, "newer": newer}, say))
            all_counts = asyncio.run(_tried(lent, told.only))
    except (CanNotTell, Trouble) as reason:
        say(f"mixed: {reason}")
        return _CAN_NOT_TELL
    except KeyboardInterrupt:
        return _INTERRUPTED
    names = str(older), str(newer)
    print(json.dumps(summary(*names, all_counts), indent=1) if told.json else table(*names, all_counts))
    return 0 if is_sound(all_counts) else 1


def say(text: str) -> None:
    """Tell how it goes on; standard output belongs to the result."""
    print(text, file=sys.stderr, flush=True)


async def _tried(lent: Machine, only: str) -> list[Counts]:
    wanted = [arrangement for arrangement in arrangements() if only in arrangement.name]
    return [await _try(lent, number, arrangement) for number, arrangement in enumerate(wanted)]


async def _try(lent: Machine, number: int, arrangement: Arrangement) -> Counts:
    """Run an arrangement, and count what becomes of its traffic; a failure of whatever kind is counted too."""
    began = time.monotonic()
    counts = Counts(arrangement.name)
    patience = _PATIENCE_SECONDS + _PATIENCE_OF_A_STEP_SECONDS * len(arrangement.steps)
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            await lent.migrate(arrangement.schemas)
            async with lent.arranged(arrangement) as running:
                await _watch(lent, number, arrangement, running, counts)
    except Exception as error:  # noqa: BLE001 - whatever it was, the releases did not work together
        late = [f"it has not ended within {patience:.0f} s"] if limit.expired() else []
        counts.failed.extend(late or [f"{type(cause).__name__}: {cause}" for cause in causes(error)])
    counts.seconds = round(time.monotonic() - began, 1)
    say(f"{arrangement.name}: {'ok' if counts.is_sound else 'FAILED'} ({counts.seconds} s)")
    return counts


async def _watch(lent: Machine, number: int, arrangement: Arrangement, running: Running, counts: Counts) -> None:
    releases = lent.releases.values()
    methods = set.intersection(*(release.methods() for release in releases))
    traffic = Traffic(number, running.address, counts, methods, is_disturbed=bool(arrangement.steps))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.go())
            for step in arrangement.steps:
                await _some_more(traffic)
                await _take(step, lent, running, traffic)
            await _some_more(traffic)
            traffic.may_end()
    finally:
        counts.failed.extend(running.troubles())


async def _take(step: Step, lent: Machine, running: Running, traffic: Traffic) -> None:
    match step:
        case Migration(side):
            await lent.migrate(side)
        case Restart(process, side):
            traffic.restarts += 1
            await running.restart(process, side)
            await asyncio.sleep(_SETTLE_SECONDS)
        case _:
            assert_never(step)


async def _some_more(traffic: Traffic) -> None:
    wanted = traffic.done + _SOME_MORE
    await eventually(lambda: traffic.done >= wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests.checks.mixed",
        description="Run services of this checkout beside those of a commit, both ways, and judge what clients record.",
        epilog="The commit must be the older one: its schemas are migrated to those of this checkout.",
    )
    parser.add_argument(
        "commit",
        nargs="?",
        help="the older release (the last tag of a version; as long as there is none, the commit that"
        " docs/compatibility.md names)",
    )
    parser.add_argument("--only", default="", metavar="WORDS", help="only arrangements with these words in their names")
    parser.add_argument("--json", action="store_true", help="for machines, with all that failed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
