"""reconnect: everybody subscribes through the edge, messages is killed, and all resume as soon as they can.

Each subscriber has a connection of its own; sends go on meanwhile and are repeated until they are answered.
"""

from benchmarks.figures import Figure, Options
from benchmarks.load import restart
from benchmarks.load.jobs import RoomJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite

NAME = "reconnect"
_MEMBERS = 100
# Slow enough that what is missed can be replayed: at most RESUME_MESSAGES in each room.
_SENDS_PER_ROOM = 2.5


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Kill the service once."""
    count = options.size(20, 2)
    rooms = await suite.rooms("reconnect", count, _MEMBERS)
    case = f"{count * _MEMBERS:,} subscribers resume at once"
    suite.say(f"{NAME}: {case}, edge")
    groups = suite.groups
    # Its figures end with it.
    killed = groups.pop("messages")
    job = RoomJob(
        address=suite.edge,
        rooms=rooms,
        groups=groups,
        seconds=options.warm_up,
        warm_up_seconds=options.warm_up,
        namespace=suite.namespace(),
        per_second=_SENDS_PER_ROOM * count,
        restarted=killed,
    )
    found = await in_own_process(restart.run, job)
    await suite.healthy("messages")
    meanwhile = found.pop("meanwhile")
    delays = {f"sends_meanwhile_last_delivery_{name}": meanwhile[name] for name in ("p50_ms", "max_ms")}
    return [Figure(NAME, case, "edge", "subscriber", details={**found, **delays})]
