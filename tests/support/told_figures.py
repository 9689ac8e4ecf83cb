"""All figures that the services of a running suite tell."""

from pathlib import Path

from tests.support.databases import TestDatabase
from tests.support.figures import figures_of
from tests.support.nats import running as running_nats
from tests.support.suite import running

_SERVICES = ("users", "rooms", "messages", "files")


async def told_figures(database: TestDatabase, folder: Path) -> dict[str, tuple[str, str]]:
    """Return the kind and the text of each figure by its name, with NATS, which has figures of its own."""
    found = {}
    with running_nats(folder) as nats:
        async with running(database, folder, *_SERVICES, nats=nats, metrics_listen="127.0.0.1:0") as suite:
            for server in suite.servers.values():
                for family in (await figures_of(server.metrics_address)).families:
                    name = f"{family.name}_total" if family.type == "counter" else family.name
                    found[name] = (family.type, family.documentation)
    return found
