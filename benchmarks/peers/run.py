"""`./chatkit bench --peers`: a suite and ejabberd run on one machine, and are measured by turns."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.figures import Figure, Options
from benchmarks.peers import ejabberd
from benchmarks.peers.cases import CASES
from benchmarks.peers.installed import Installed
from benchmarks.peers.rounds import by_turns
from benchmarks.suite import Say, running

NAMES = tuple(CASES)
_ROUNDS, _QUICK_ROUNDS = 3, 1


async def run(say: Say, installed: Installed, names: Sequence[str], options: Options) -> list[Figure]:
    """Measure workloads at both."""
    options = options if options.rounds else replace(options, rounds=options.size(_ROUNDS, _QUICK_ROUNDS))
    say(f"starting ejabberd {installed.version} with a PostgreSQL of its own")
    with ejabberd.running(installed) as peer:
        async with running(say, options.size(10_000, 100)) as suite:
            found = []
            for name in names:
                for case in await CASES[name](suite, peer, options):
                    found += await by_turns(case, options, say)
            say("stopping")
    return found
