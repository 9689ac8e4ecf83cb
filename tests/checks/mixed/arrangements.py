"""Which process is of which release: each alone beside the others, in both directions, and two replicas of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from services.stack.machine.replicas import names
from services.stack.roles import SERVICES

Side = Literal["older", "newer"]
EDGE = "edge"
PARTS = (*SERVICES, EDGE)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The side of each process by its name, and how many there are of each service."""

    name: str
    sides: Mapping[str, Side]
    replicas: int = 1
    # Whether replicas are restarted with the other release, and back, while the traffic goes.
    is_rolled: bool = False

    @property
    def rolled(self) -> list[str]:
        """The processes that are restarted: the older one of each service."""
        return [name for name, side in self.sides.items() if name != EDGE and side == "older"] if self.is_rolled else []


def arrangements() -> list[Arrangement]:
    """List them in the order in which they are tried."""
    return [
        *_one_of_all("older", "newer"),
        *_one_of_all("newer", "older"),
        Arrangement("a replica of each", _replicas(), replicas=2),
        Arrangement("a replica of each, one upgraded and rolled back", _replicas(), replicas=2, is_rolled=True),
    ]


def _one_of_all(lone: Side, rest: Side) -> Iterator[Arrangement]:
    for part in PARTS:
        yield Arrangement(f"{part} {lone}, the rest {rest}", dict.fromkeys(PARTS, rest) | {part: lone})


def _replicas() -> dict[str, Side]:
    sides: dict[str, Side] = {EDGE: "newer"}
    for service in SERVICES:
        newer, older = names(service, 2)
        sides |= {newer: "newer", older: "older"}
    return sides
