"""The main function of a service process: `serve` until told to stop, or `migrate`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import structlog
import uvloop
from pydantic import SecretStr, ValidationError

from services.runtime import log
from services.runtime.clock import Clock, SystemClock
from services.runtime.database import sqlalchemy_url
from services.runtime.keys import refuse_sample
from services.runtime.migrations import upgrade
from services.runtime.nats_bus import nats_secret
from services.runtime.server import Server
from services.runtime.settings import Settings, read_settings

Build = Callable[[Settings, Clock], AbstractAsyncContextManager[Server]]

_log = structlog.get_logger()


def main(name: str, build: Build, migrations: Path) -> int:
    """Run one of the service's two commands and return the exit status."""
    parser = argparse.ArgumentParser(prog=f"services.{name}", description=f"The {name} service of Chatkit.")
    parser.add_argument(
        "command",
        choices=("serve", "migrate"),
        help="serve calls, or bring the schema up to date",
    )
    command = parser.parse_args().command
    try:
        settings = read_settings()
        log.configure(settings.log_format, name)
        _refuse_sample_passwords(settings)
        if command == "migrate":
            upgrade(settings.migrate_database_url.get_secret_value(), name, migrations)
            return 0
        return uvloop.run(_serve(build, settings))
    except (ValueError, ValidationError, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2


def _refuse_sample_passwords(settings: Settings) -> None:
    for setting in ("database_url", "migrate_database_url"):
        url: SecretStr = getattr(settings, setting)
        password = sqlalchemy_url(url.get_secret_value()).password if url.get_secret_value() else None
        refuse_sample(
            str(password or ""), f"the password in CHATKIT_{setting.upper()}", is_allowed=settings.allow_sample_secrets
        )
    refuse_sample(
        nats_secret(settings.nats_url.get_secret_value()),
        "the password or token in CHATKIT_NATS_URL",
        is_allowed=settings.allow_sample_secrets,
    )


async def _serve(build: Build, settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    async with build(settings, SystemClock()) as server:
        waits = [asyncio.create_task(event.wait()) for event in (stopping, server.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        _log.info("stopping")
    return 1 if server.failed.is_set() else 0
