"""How many processes of each service run: what `up` is told, and what the processes are called."""

from collections.abc import Mapping, Sequence

from services.stack.roles import SERVICES
from services.stack.trouble import Trouble

MOST = 8
ONE_OF_EACH: Mapping[str, int] = dict.fromkeys(SERVICES, 1)


def parse_replicas(told: Sequence[str], workers: str = "1") -> dict[str, int]:
    """Read `messages=2` and the like, also several with commas; services that are not named have `workers` of them."""
    everywhere = _count(workers)
    if everywhere is None:
        raise Trouble(f"--workers {workers!r} is not like 2: 1 to {MOST} processes of each service")
    counts: dict[str, int] = {}
    for item in ",".join(told).split(",") if told else ():
        service, _, count = item.strip().partition("=")
        if service not in SERVICES:
            raise Trouble(f"--replicas {item.strip()!r} names no service: {', '.join(SERVICES)}")
        if service in counts:
            raise Trouble(f"--replicas names {service} twice")
        number = _count(count)
        if number is None:
            raise Trouble(f"--replicas {item.strip()!r} is not like {service}=2: 1 to {MOST} processes")
        counts[service] = number
    return {**dict.fromkeys(SERVICES, everywhere), **counts}


def _count(told: str) -> int | None:
    return next((number for number in range(1, MOST + 1) if told == str(number)), None)


def names(service: str, count: int) -> list[str]:
    """Return what a service's processes are called: like the service when there is one, else with a number."""
    return [service] if count == 1 else [f"{service}-{number}" for number in range(1, count + 1)]


def service_of(process: str) -> str:
    """Return the service that a process is one of."""
    return process.partition("-")[0]


def process_names(replicas: Mapping[str, int]) -> list[str]:
    """List the processes of all services."""
    return [name for service in SERVICES for name in names(service, replicas[service])]
