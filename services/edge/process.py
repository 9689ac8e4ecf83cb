"""The main function of the edge's process: `serve` runs Envoy, the others print the renderings that are checked in."""

import argparse
import asyncio
import json
import secrets
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from services.edge import console, envoy, keys, public, reflection
from services.edge.crowding import Crowding
from services.edge.deployment import EXAMPLE, Deployment
from services.edge.ending import Ending
from services.edge.farewell import Farewell
from services.edge.reference import openapi
from services.edge.reference.html import html
from services.edge.reference.pages import Pages
from services.edge.rendering.bootstrap import configuration, to_yaml
from services.edge.rendering.overload import room_for_connections
from services.edge.rendering.service_config import service_config, to_json
from services.edge.rendering.tls import Watch, write_descriptions
from services.edge.settings import EdgeSettings
from services.runtime import logs
from services.runtime.calls.edges import SECRET_BYTES, name_of
from services.runtime.clock import SystemClock
from services.runtime.contract.policies import Limits
from services.runtime.identity.keys import Keyring
from services.runtime.release import Release
from services.runtime.settings import naming_settings, read_settings_of

_log = structlog.get_logger()
_KILL_SECONDS = 5.0
# The seconds that an ending takes at the most, beyond the two settings.
LONGEST_BEYOND_SETTINGS = envoy.GOODBYE_SECONDS + _KILL_SECONDS


def main(arguments: list[str]) -> int:
    """Run one of the edge's commands and return the exit status."""
    parser = argparse.ArgumentParser(prog="services.edge", description="The edge of Chatkit: Envoy.")
    parser.add_argument(
        "command",
        choices=("serve", "print", "service-config", "reference"),
        help="run the edge, or print its configuration, or the service config of gRPC clients; or write the reference",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/api"), help="of the reference (docs/api)")
    parsed = parser.parse_args(arguments)
    command = parsed.command
    if command == "reference":
        _write_reference(parsed.folder)
        return 0
    if command == "service-config":
        sys.stdout.write(to_json(service_config()))
        return 0
    if command == "print":
        sys.stdout.write(to_yaml(configuration(EXAMPLE, Limits())))
        return 0
    try:
        settings = read_settings_of(EdgeSettings)
        logs.configure(settings.log_format, "edge", Release(settings.commit))
        with naming_settings(settings):
            return asyncio.run(_serve(settings))
    except (ValueError, OSError) as error:
        logs.complain(f"edge: {error}")
        return 2


async def _serve(settings: EdgeSettings) -> int:
    told = _Told()
    told.listen()
    secret = secrets.token_bytes(SECRET_BYTES)
    deployment = replace(settings.deployment, name=name_of(secret), connections=room_for_connections())
    keyring = Keyring(settings.keys_file, settings.jwks_file, allow_sample_secrets=settings.allow_sample_secrets)
    rendering = write(deployment, settings.limits)
    watching = [
        asyncio.create_task(Watch(deployment, settings.keys_poll_interval_seconds).run()),
        asyncio.create_task(Crowding(deployment).run()),
    ]
    ending = Ending(
        deployment.admin_socket,
        Farewell(deployment.upstreams, secret, settings.tls),
        drain_seconds=settings.drain_seconds,
        grace_seconds=settings.shutdown_grace_seconds,
    )
    async with keys.serving(deployment.keys_socket, keyring):
        process = await envoy.start(rendering, concurrency=settings.concurrency)
        try:
            # After Envoy, because a process with gRPC's threads is not one to be copied.
            contract = reflection.Contract(public.descriptor_set())
            async with reflection.serving(deployment.reflection_socket, contract, SystemClock()):
                return await _until_told(process, told, ending)
        finally:
            for task in watching:
                task.cancel()


def _write_reference(folder: Path) -> None:
    """Write the pages in the place of those that are there."""
    for path in folder.rglob("*.md"):
        path.unlink()
    for name, text in Pages(Limits()).write().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


class _Told:
    """What signals have told the process: to end, to stop without a successor, or, with a second one, to go at once."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.has_successor = False

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._hear, True)
        loop.add_signal_handler(signal.SIGINT, self._hear, False)

    def _hear(self, has_successor: bool) -> None:
        if self.first.is_set():
            self.second.set()
            return
        self.has_successor = has_successor
        self.first.set()


async def _until_told(process: asyncio.subprocess.Process, told: _Told, ending: Ending) -> int:
    """Run until a signal tells to end, and then until nothing is open; a second signal cuts that short."""
    try:
        await _first(told.first.wait(), process.wait())
        if told.first.is_set():
            await _first(ending.drain() if told.has_successor else ending.stop(), told.second.wait(), process.wait())
    finally:
        status = process.returncode
        await _stop(process, at_once=told.second.is_set())
    if status is not None:
        _log.error("envoy_ended", status=status)
        return 1
    return 0


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Return when the first of several is done, and cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            _log.error("ending_failed", exc_info=ended)


def write(deployment: Deployment, limits: Limits) -> Path:
    """Write into the run folder what Envoy reads when it starts, and return the rendering's path."""
    deployment.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deployment.descriptor.write_bytes(public.descriptor_set())
    described = openapi.document(limits, Release(deployment.commit).version)
    deployment.openapi.write_text(json.dumps(described, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
    deployment.docs.mkdir(exist_ok=True)
    for name, document in html(Pages(limits).write()).items():
        (deployment.docs / f"{name}.html").write_text(document, encoding="utf-8")
    console.write(deployment.console_folder, deployment.hosts)
    write_descriptions(deployment)
    Crowding(deployment).say(0)
    # As JSON, for Envoy: YAML takes half a second longer, to write and to read.
    deployment.rendering.write_text(json.dumps(configuration(deployment, limits)), encoding="utf-8")
    return deployment.rendering


async def _stop(process: asyncio.subprocess.Process, *, at_once: bool) -> None:
    with suppress(ProcessLookupError):
        process.kill() if at_once else process.terminate()
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
