"""The real Prometheus, which scrapes a suite as operations/prometheus says."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from operations.prometheus.targets import targets
from services.stack.machine.ports import Port
from services.stack.trouble import Trouble

_CONFIGURATION = Path(__file__).parents[2] / "prometheus"
_START_SECONDS = 30.0
_POLL_SECONDS = 0.1


def program() -> str:
    """Return where Prometheus is."""
    found = shutil.which("prometheus")
    if found is None:
        raise Trouble("Prometheus is not on the PATH: Debian's package `prometheus` brings it")
    return found


@asynccontextmanager
async def scraping(metrics: Mapping[str, str], folder: Path) -> AsyncIterator[str]:
    """Let Prometheus scrape the addresses, which are by names of processes; yields its own."""
    for name in ("prometheus.yaml", "rules.yaml"):
        shutil.copy(_CONFIGURATION / name, folder)
    processes = [{"name": name, "metrics": f"http://{address}/metrics"} for name, address in metrics.items()]
    (folder / "targets.json").write_text(json.dumps(targets(processes)))
    async with prometheus(folder) as address:
        yield address


@asynccontextmanager
async def prometheus(folder: Path, *options: str) -> AsyncIterator[str]:
    """Run Prometheus by the prometheus.yaml of a folder, which it also writes to; yields its address."""
    path = program()
    port, log = Port("127.0.0.1", child="reuses address"), folder / "prometheus.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            path,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={port.address}",
            *options,
            stdout=output,
            stderr=output,
        )
    try:
        if not await _is_listening(port.address, process):
            raise Trouble(f"Prometheus ended at once:\n{await asyncio.to_thread(log.read_text)}")
        yield port.address
    finally:
        port.release()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_listening(address: str, process: asyncio.subprocess.Process) -> bool:
    """Wait until it listens; tell whether it does, or has ended."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(_START_SECONDS):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                writer.close()
                return True
    return False
