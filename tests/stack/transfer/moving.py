"""Exports as files, and a running suite that they are moved into and out of."""

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatkit_client import Client, connect
from services.stack.transfer.attachments import FOLDER, LocalFiles
from services.stack.transfer.exporting import Exporter
from services.stack.transfer.importing import importing
from services.stack.transfer.report import Refusal, Report
from tests.support import tokens
from tests.support.edge import running_edge
from tests.support.exported import alike
from tests.support.suite import Suite

Records = Mapping[str, Sequence[Any]]
KINDS = ("users", "rooms", "messages")


def write(folder: Path, records: Records, form: str = "ndjson") -> Path:
    """Write an export; what is no object is written as it is."""
    folder.mkdir(exist_ok=True)
    for kind in KINDS:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in records.get(kind, ())]
        text = "".join(f"{one}\n" for one in texts) if form == "ndjson" else f"[\n{','.join(texts)}\n]"
        (folder / f"{kind}.{form}").write_text(text)
    return folder


def read(folder: Path) -> dict[str, list[Mapping[str, Any]]]:
    """Return the records of an export, without their order."""
    return {
        kind: alike([json.loads(line) for line in (folder / f"{kind}.ndjson").read_text().split("\n") if line])
        for kind in KINDS
    }


@dataclass
class Moving:
    """A suite, and what was refused since it was looked at last."""

    suite: Suite
    client: Client
    refused: list[Refusal] = field(default_factory=list)

    async def take(
        self,
        folder: Path,
        *,
        dry_run: bool = False,
        attachments: Path | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Import a folder."""
        self.refused.clear()
        report = Report(self.refused.append)
        files = LocalFiles(folder, attachments or folder / FOLDER)
        async with importing(folder, files, self._environment, self.client, report) as importer:
            await importer.look(lambda _: None)
            if not dry_run:
                await importer.write(advance)
        return report

    async def give(self, folder: Path) -> Exporter:
        """Export into a folder."""
        exporter = Exporter(folder, self._environment, self.client, self.refused.append)
        await exporter.write(lambda _: None)
        return exporter

    @property
    def told(self) -> list[tuple[str, str]]:
        """What was refused: the file and its line, and why."""
        return [(Path(refusal.where).name, refusal.reason or refusal.message) for refusal in self.refused]

    def _environment(self, service: str) -> Mapping[str, str]:
        told: Any = self.suite.settings_of(service)
        addresses = {f"CHATKIT_{name.upper()}_ADDRESS": self.suite.address(name) for name in self.suite.servers}
        limits = {f"CHATKIT_LIMIT_{name}": str(value) for name, value in told.limit_overrides.items()}
        return {
            **os.environ,
            **addresses,
            **limits,
            "CHATKIT_DATABASE_URL": told.database_url.get_secret_value(),
            "CHATKIT_KEYS_FILE": str(told.keys_file),
            "CHATKIT_SERVICE_KEYS_FILE": str(told.service_keys_file),
        }


@asynccontextmanager
async def moving(suite: Suite, folder: Path) -> AsyncIterator[Moving]:
    """Lend a suite with its edge."""
    async with (
        running_edge(suite, folder) as edge,
        connect(edge.address, tokens.token(None, su=True)) as client,
    ):
        yield Moving(suite, client)
