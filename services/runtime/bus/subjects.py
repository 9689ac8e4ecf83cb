"""The subjects of the bus. Each belongs to one service, whose replicas alone publish there and listen.

What a service may do at NATS is written from here (services/stack/nats.py), so a subject that is not declared is built
by nobody, and one that is declared can be used.
"""

from collections.abc import Mapping
from urllib.parse import quote

# By service; one that is not here has nothing to tell its replicas, and no credential at NATS.
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "users": ("changes",),
    "rooms": ("changes",),
    "messages": ("log", "cursors", "typing", "sync", "spans"),
}


def subject(instance: str, service: str, name: str) -> str:
    """Return a subject that is a service's and an instance's own; a ValueError for one that is not declared."""
    if name not in SUBJECTS.get(service, ()):
        raise ValueError(f"{service} has no subject {name!r}: services/runtime/bus/subjects.py declares all")
    return f"chatkit.{encoded(instance)}.{service}.{name}"


def encoded(name: str) -> str:
    """Return any text as one part of a subject, and different texts as different parts."""
    # quote() leaves the dot alone, which divides a subject; it never yields a lone percent sign.
    return quote(name, safe="").replace(".", "%2E") or "%"


def rights(service: str) -> list[str]:
    """List what a service may publish and listen to, of whichever instance."""
    return [f"chatkit.*.{service}.{name}" for name in SUBJECTS[service]]
