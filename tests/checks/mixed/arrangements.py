"""Which process is of which release: each alone beside the others, in both directions, and two replicas of each.

The first begins on the schemas of the older release, which are the newer one's from then on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.stack.machine.replicas import names
from services.stack.roles import SERVICES

Side = Literal["older", "newer"]
EDGE = "edge"
PARTS = (*SERVICES, EDGE)
_THERE_AND_BACK: tuple[Side, Side] = ("newer", "older")


@dataclass(frozen=True, slots=True)
class Migration:
    """The schemas become those of a release."""

    side: Side


@dataclass(frozen=True, slots=True)
class Restart:
    """A process is restarted as one of a release."""

    process: str
    side: Side


Step = Migration | Restart


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The side of each process by its name, and how many there are of each service."""

    name: str
    sides: Mapping[str, Side]
    replicas: int = 1
    # Whose schemas it begins on.
    schemas: Side = "newer"
    # What happens, one after the other, while the traffic goes.
    steps: Sequence[Step] = ()


def arrangements() -> list[Arrangement]:
    """List them in the order in which they are tried."""
    return [
        _upgraded_deployment(),
        *_one_of_all("older", "newer"),
        *_one_of_all("newer", "older"),
        Arrangement("a replica of each", _replicas(), replicas=2),
        _rolled_replicas(),
    ]


def _upgraded_deployment() -> Arrangement:
    """Two older replicas of each, as an operator upgrades them: schemas first, and then every process."""
    sides: dict[str, Side] = dict.fromkeys((*_processes(), EDGE), "older")
    steps: Sequence[Step] = (
        Migration("newer"),
        # An older process that starts now finds the newer schemas.
        *(Restart(names(service, 2)[0], "older") for service in SERVICES),
        *(Restart(process, "newer") for process in sides),
    )
    return Arrangement("all older, then the schemas newer, then each process", sides, 2, "older", steps)


def _one_of_all(lone: Side, rest: Side) -> Iterator[Arrangement]:
    for part in PARTS:
        yield Arrangement(f"{part} {lone}, the rest {rest}", dict.fromkeys(PARTS, rest) | {part: lone})


def _rolled_replicas() -> Arrangement:
    sides = _replicas()
    rolled = [process for process in _processes() if sides[process] == "older"]
    steps = [Restart(process, side) for process in rolled for side in _THERE_AND_BACK]
    return Arrangement("a replica of each, one upgraded and rolled back", sides, replicas=2, steps=steps)


def _replicas() -> dict[str, Side]:
    sides: dict[str, Side] = {EDGE: "newer"}
    for service in SERVICES:
        newer, older = names(service, 2)
        sides |= {newer: "newer", older: "older"}
    return sides


def _processes() -> list[str]:
    return [process for service in SERVICES for process in names(service, 2)]
