"""The main function of the edge's process: `serve` runs Envoy, the others print the renderings that are checked in."""

import argparse
import asyncio
import re
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from services.edge import envoy, keys, public
from services.edge.deployment import EXAMPLE, Deployment
from services.edge.overload import room_for_connections
from services.edge.render import configuration, to_yaml
from services.edge.service_config import service_config, to_json
from services.edge.settings import EdgeSettings
from services.edge.tls import Watch, write_descriptions
from services.runtime import log
from services.runtime.contract import Limits
from services.runtime.keys import Keyring
from services.runtime.settings import read_settings_of

_log = structlog.get_logger()
_POLL_SECONDS = 0.1
_KILL_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Run one of the edge's commands and return the exit status."""
    parser = argparse.ArgumentParser(prog="services.edge", description="The edge of Chatkit: Envoy.")
    parser.add_argument(
        "command",
        choices=("serve", "print", "service-config"),
        help="run the edge, or print its configuration, or the service config of gRPC clients",
    )
    command = parser.parse_args(arguments).command
    if command == "service-config":
        sys.stdout.write(to_json(service_config()))
        return 0
    if command == "print":
        sys.stdout.write(to_yaml(configuration(EXAMPLE, Limits())))
        return 0
    try:
        settings = read_settings_of(EdgeSettings)
        log.configure(settings.log_format, "edge")
        return asyncio.run(_serve(settings))
    except (ValueError, OSError) as error:
        log.complain(f"edge: {error}")
        return 2


async def _serve(settings: EdgeSettings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    deployment = replace(settings.deployment, connections=room_for_connections())
    keyring = Keyring(settings.keys_file, settings.jwks_file, allow_sample_secrets=settings.allow_sample_secrets)
    rendering = write(deployment, settings.limits)
    watch = asyncio.create_task(Watch(deployment, settings.keys_poll_interval_seconds).run())
    async with keys.serving(deployment.keys_socket, keyring):
        process = await envoy.start(rendering, concurrency=settings.concurrency)
        try:
            return await _until_told(process, stopping, settings)
        finally:
            watch.cancel()


async def _until_told(process: asyncio.subprocess.Process, stopping: asyncio.Event, settings: EdgeSettings) -> int:
    told, ended = asyncio.create_task(stopping.wait()), asyncio.create_task(process.wait())
    await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if process.returncode is not None:
        _log.error("envoy_ended", status=process.returncode)
        return 1
    _log.info("stopping")
    await _drain(settings.deployment.admin_socket, settings.shutdown_grace_seconds)
    await _stop(process)
    return 0


def write(deployment: Deployment, limits: Limits) -> Path:
    """Write into the run folder what Envoy reads when it starts, and return the rendering's path."""
    deployment.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deployment.descriptor.write_bytes(public.descriptor_set())
    write_descriptions(deployment)
    path = deployment.run_folder / "envoy.yaml"
    path.write_text(to_yaml(configuration(deployment, limits)), encoding="utf-8")
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
