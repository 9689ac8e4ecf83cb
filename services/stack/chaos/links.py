"""Who turns to whom in a suite: each link, from one process to one other, can be disturbed by itself."""

from collections.abc import Iterator, Mapping

from services.runtime.bus.subjects import SUBJECTS
from services.stack.machine.processes import CONTENT, http_name
from services.stack.machine.replicas import names, process_names, service_of

# The process that turns to another one, and what that is called.
Link = tuple[str, str]
# Which services each of them asks; services/README.md says it, too.
ASKED: Mapping[str, tuple[str, ...]] = {
    "users": ("rooms",),
    "rooms": ("users",),
    "messages": ("rooms", "users", "files"),
    "files": ("rooms", "users", "messages"),
}
NATS, POSTGRES = "nats", "postgres"


def links(replicas: Mapping[str, int]) -> list[Link]:
    """List the links of a suite."""
    return [(process, other) for process in ("edge", *process_names(replicas)) for other in _others(process, replicas)]


def told(link: Link) -> str:
    """Return what a link is called for people."""
    return f"{link[0]} → {link[1]}"


def _others(process: str, replicas: Mapping[str, int]) -> Iterator[str]:
    if process == "edge":
        yield from process_names(replicas)
        yield from map(http_name, names(CONTENT, replicas[CONTENT]))
        return
    service = service_of(process)
    for asked in ASKED[service]:
        yield from names(asked, replicas[asked])
    if service in SUBJECTS:
        yield NATS
    yield POSTGRES
