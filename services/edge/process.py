"""The main function of the edge's process: `serve` runs Envoy, `print` shows the rendering that is checked in."""

import argparse
import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import structlog
from pydantic import Field, ValidationError

from services.edge import envoy, public
from services.edge.render import EXAMPLE, Addresses, configuration, to_yaml
from services.runtime import log
from services.runtime.contract import Limits
from services.runtime.settings import Settings

_log = structlog.get_logger()
_POLL_SECONDS = 0.1
_KILL_SECONDS = 5.0


class EdgeSettings(Settings):
    """What the edge is told beside what every process is; an address may be a list of endpoints with commas."""

    listen: str = Field(default="127.0.0.1:8080", description="host:port of the one public listener")
    run_dir: Path = Field(default=Path("/run/chatkit"), description="folder of the rendering and the admin socket")
    concurrency: int = Field(default=1, ge=1, description="Envoy's worker threads")

    @property
    def addresses(self) -> Addresses:
        """Where everything is."""
        upstreams = {name: getattr(self, f"{name}_address").split(",") for name in public.CLUSTERS}
        return Addresses(self.listen, self.run_dir, upstreams)


def main(arguments: list[str]) -> int:
    """Run one of the edge's two commands and return the exit status."""
    parser = argparse.ArgumentParser(prog="services.edge", description="The edge of Chatkit: Envoy.")
    parser.add_argument("command", choices=("serve", "print"), help="run the edge, or print its configuration")
    command = parser.parse_args(arguments).command
    if command == "print":
        sys.stdout.write(to_yaml(configuration(EXAMPLE, Limits())))
        return 0
    try:
        limits = Limits.from_environ(os.environ)
        settings = EdgeSettings()
        log.configure(settings.log_format, "edge")
        return asyncio.run(_serve(settings, limits))
    except (ValueError, ValidationError, OSError) as error:
        sys.stderr.write(f"edge: {error}\n")
        return 2


async def _serve(settings: EdgeSettings, limits: Limits) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    process = await envoy.start(write(settings.addresses, limits), concurrency=settings.concurrency)
    told, ended = asyncio.create_task(stopping.wait()), asyncio.create_task(process.wait())
    await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if process.returncode is not None:
        _log.error("envoy_ended", status=process.returncode)
        return 1
    _log.info("stopping")
    await _drain(settings.addresses.admin_socket, settings.shutdown_grace_seconds)
    await _stop(process)
    return 0


def write(addresses: Addresses, limits: Limits) -> Path:
    """Write the rendering and the descriptor set into the run folder, and return the rendering's path."""
    addresses.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    addresses.descriptor.write_bytes(public.descriptor_set())
    path = addresses.run_folder / "envoy.yaml"
    path.write_text(to_yaml(configuration(addresses, limits)), encoding="utf-8")
    return path


async def _drain(socket: Path, seconds: float) -> None:
    """Tell clients to go elsewhere, and wait until no call is open or the time is over."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            await envoy.admin(socket, "POST", "/drain_listeners?graceful&skip_exit")
            while await _open_calls(socket):  # noqa: ASYNC110 - Envoy does not tell when they are done
                await asyncio.sleep(_POLL_SECONDS)


async def _open_calls(socket: Path) -> int:
    answer = await envoy.admin(socket, "GET", "/stats?filter=^http.edge.downstream_rq_active$")
    found = re.search(r"downstream_rq_active: ([0-9]+)", answer)
    return int(found[1]) if found else 0


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
