"""What a run finds: figures, each with its unit, and what else is worth a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.stack.machine.replicas import service_of
from services.stack.roles import SERVICES

_MICROSECONDS = 1_000_000
SERVICE, DATABASE, EDGE, NATS, GENERATOR, BARE = "service", "database", "edge", "nats", "generator", "bare"


@dataclass(frozen=True, slots=True)
class Options:
    """How much a run does."""

    seconds: float
    quick: bool = False
    # How many rooms `followed` follows; its own choice when empty.
    rooms: tuple[int, ...] = ()
    # What the neighbours are attacked with; everything there is when empty.
    attacks: tuple[str, ...] = ()
    # Whether they come all at once only, instead of one after the other first.
    at_once: bool = False
    # How often `observing` measures each case in both ways, and each is measured beside peers; their choice when 0.
    rounds: int = 0
    # Whether what is measured are the suite and peers by turns.
    peers: bool = False

    @property
    def warm_up(self) -> float:
        """Seconds of load before what is measured."""
        return 0.2 if self.quick else 1.0

    def size(self, full: int, quick: int) -> int:
        """Choose a population."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: so many units in so many seconds, reached in one way."""

    workload: str
    case: str
    # "services": past the edge; "edge": through it; "bare": the bare server instead of the suite.
    via: str
    unit: str
    per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    # CPU microseconds of each part for one unit.
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    # The rate as a share of the bare server's in the same case and run.
    of_bare: float | None = None
    # What was counted to see that nothing is missing, and what only this workload finds.
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def server_us(self) -> float:
        """CPU of services and database for one unit, which the bars are about."""
        return self.cpu_us.get(SERVICE, 0.0) + self.cpu_us.get(DATABASE, 0.0)


def per_unit(cpu_seconds: Mapping[str, float], units: float) -> dict[str, float]:
    """Turn CPU seconds of processes into microseconds of parts for one unit; all services are one part."""
    parts: dict[str, float] = {}
    for name, seconds in cpu_seconds.items():
        part = SERVICE if service_of(name) in SERVICES else name
        parts[part] = parts.get(part, 0.0) + (seconds * _MICROSECONDS / units if units else 0.0)
    return parts


def of_calls(workload: str, case: str, via: str, unit: str, found: Mapping[str, Any], per_call: int = 1) -> Figure:
    """Make a figure of what the generator measured."""
    units = found["count"] * per_call
    names = ("count", "seconds", "answered_in_all", "refused", "answer_bytes")
    return Figure(
        workload,
        case,
        via,
        unit,
        per_second=units / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        cpu_us=per_unit(found["cpu_seconds"], units),
        details={name: found[name] for name in names if name in found},
    )
