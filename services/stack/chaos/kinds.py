"""All that can be done to a suite, by name."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.stack.chaos import database, filling, keys, processes, rolling, weather
from services.stack.chaos.steps import Disturbance, Kind, Losses
from services.stack.chaos.suite import Suite
from services.stack.trouble import Trouble

_LINKS = {
    "cut": ("a link between two processes is cut", weather.cut),
    "refuse": ("a link is cut, and takes no new connections", weather.refuse),
    "partition": ("a link lets nothing pass, while its connections stay", weather.partition),
    "half-open": ("a link lets nothing pass, until its connections are cut", weather.half_open),
    "one-way": ("a link lets no answer pass", weather.one_way),
    "delay": ("a link is late, both ways", weather.delay),
    "drop": ("NATS loses messages", weather.drop),
    "double": ("NATS brings messages twice", weather.double),
    "reorder": ("NATS brings messages in another order", weather.reorder),
}
_DISKS = {
    "full-database": ("the disk of PostgreSQL is full", filling.database),
    "full-logs": ("the disk of the logs is full", filling.logs),
    "full-content": ("the disk of files' content is full", filling.content),
}


def _no_names(_suite: Suite) -> str:
    return "on one machine all processes are told one another's IP addresses, so no name is looked up"


def _slow_names(_chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    return Disturbance("names are looked up slowly", frozenset(), 0, _refused)


@asynccontextmanager
async def _refused(suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    raise Trouble(_no_names(suite))
    yield


_ALL = (
    Kind("kill", "a process is killed: of a service, the edge, NATS or PostgreSQL", processes.kill),
    Kind("pause", "a process stands still for some seconds", processes.pause),
    Kind("backends", "PostgreSQL's backends of a service are killed", processes.backends),
    *(Kind(name, what, choose, weather.without_relays) for name, (what, choose) in _LINKS.items()),
    Kind("restart", "PostgreSQL is restarted", database.restart),
    Kind("fail-over", "PostgreSQL is killed, and a synchronous standby takes its place", database.fail_over),
    Kind("put-back", "PostgreSQL's files are put back as they were, and the epoch is rotated", database.put_back),
    Kind("roll", "the processes of a service are restarted one after the other", rolling.roll),
    Kind("keys", "the key of users' tokens is rotated", keys.users_keys),
    Kind("service-keys", "the key of services' tokens is rotated", keys.services_keys),
    Kind("clock", "the clock of a process jumps by minutes, and back", rolling.clock, rolling.without_faketime),
    *(Kind(name, what, choose, filling.without_disks) for name, (what, choose) in _DISKS.items()),
    Kind("content-away", "the folder of files' content is away", filling.away, filling.without_folder),
    Kind("slow-names", "names are looked up slowly", _slow_names, _no_names),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def parse_kinds(told: str) -> list[Kind]:
    """Read names with commas between them; nothing is all of them."""
    names = [name.strip() for name in told.split(",") if name.strip()]
    if unknown := [name for name in names if name not in KINDS]:
        raise Trouble(f"there is no kind {unknown[0]!r} of disturbance: {', '.join(KINDS)}")
    return [KINDS[name] for name in dict.fromkeys(names)] or list(KINDS.values())


def split(kinds: list[Kind], suite: Suite) -> tuple[list[Kind], dict[str, str]]:
    """Return those that can be caused at a suite, and of the others why not, by name."""
    reasons = {kind.name: kind.why_not(suite) for kind in kinds}
    return [kind for kind in kinds if not reasons[kind.name]], {name: why for name, why in reasons.items() if why}
