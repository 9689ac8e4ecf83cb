"""docs/metrics.md names every figure that services tell, and no other."""

import re
from pathlib import Path

from tests.checks.steps import ROOT
from tests.support.databases import TestDatabase
from tests.support.figures import figures_of
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.suite import running

_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|[^|]*\| (.+) \|$", re.MULTILINE)
_SERVICES = ("users", "rooms", "messages", "files")


async def test_the_page_is_what_services_tell(database: TestDatabase, tmp_path: Path) -> None:
    with running_nats(tmp_path) as nats:
        told = await _told(database, tmp_path, nats)
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = {name: (kind, text) for name, kind, text in _ROW.findall(page)}
    assert documented == told, "\n".join(f"| `{name}` | {kind} | | {text} |" for name, (kind, text) in told.items())


async def _told(database: TestDatabase, folder: Path, nats: Nats) -> dict[str, tuple[str, str]]:
    """Return the kind and the text of each figure that is the suite's own, by its name."""
    found = {}
    async with running(database, folder, *_SERVICES, nats=nats, metrics_listen="127.0.0.1:0") as suite:
        for server in suite.servers.values():
            for family in (await figures_of(server.metrics_address)).families:
                if not family.name.startswith(("process_", "python_")):
                    name = f"{family.name}_total" if family.type == "counter" else family.name
                    found[name] = (family.type, family.documentation)
    return found
