"""slow: one of 100 subscribers stops reading while much is sent, is cut off, and makes up for it by pages."""

from typing import Any

from benchmarks.figures import Figure, Options
from benchmarks.load import hanging
from benchmarks.load.jobs import RoomJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite
from benchmarks.workloads.one_room import of_deliveries

NAME = "slow"
_MEMBERS = 100
_TEXT_BYTES = 5_000
_SENDERS = 16
_MB = 1_000_000


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Measure the others before and while one hangs, and the memory of service and edge."""
    suite.say(f"{NAME}: one of {_MEMBERS} subscribers stops reading, edge")
    rooms = await suite.rooms("slow", 1, _MEMBERS)
    job = RoomJob(
        address=suite.edge,
        rooms=rooms,
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        namespace=suite.namespace(),
        senders=_SENDERS,
        text_bytes=_TEXT_BYTES,
    )
    found = await in_own_process(hanging.run, job)
    counts = {name: found[name] for name in ("acknowledged", "expected", "delivered", "lost", "doubled")}
    details: dict[str, Any] = {
        "ending": found["ending"],
        **{name: found[name] for name in ("hanging_read", "hanging_paged", "hanging_lost")},
        **{
            f"mb_{name}_{when}": found[f"memory_{when}"][name] / _MB
            for name in ("messages", "edge")
            for when in ("before", "highest")
        },
        **counts,
    }
    others = f"the other {found['others']}"
    calm = of_deliveries(NAME, f"{others}, all read", "edge", {**found["calm"], **counts})
    stalled = of_deliveries(NAME, f"{others}, one hangs", "edge", {**found["hanging"], **counts})
    return [calm, stalled, Figure(NAME, "one who stops reading", "edge", "subscriber", details=details)]
