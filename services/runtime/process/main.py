"""The main function of a service process: `serve` until told to stop, `migrate`, or a command of the service's own."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import structlog
import uvloop
from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import DBAPIError

from services.runtime import logs
from services.runtime.bus.nats_url import nats_secret
from services.runtime.clock import Clock, SystemClock
from services.runtime.data.database import in_one_line, sqlalchemy_url
from services.runtime.identity.api_keys import refuse_sample
from services.runtime.process.records import LOOK_FIRST
from services.runtime.release import Release
from services.runtime.settings import Settings, naming_settings, read_settings_of

if TYPE_CHECKING:
    from services.runtime.process.server import Server

_Settings_contra = TypeVar("_Settings_contra", bound=Settings, contravariant=True)


# What a command does: it is told which flags were set, writes lines, and returns the exit status.
Run = Callable[[_Settings_contra, Clock, Collection[str]], Awaitable[int]]
Build = Callable[[_Settings_contra, Clock], AbstractAsyncContextManager["Server"]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of one service's own: `run` is the module and the name of a Run.

    It is imported when it is told: commands need other modules than servers, and importing is most of what short ones
    take.
    """

    run: str
    # What each of its flags means, by name.
    flags: Mapping[str, str] = field(default_factory=dict)


VERIFY_FLAGS = {"json": "of verify: for machines, a JSON object a line"}
IMPORT_FLAGS = {
    "dry-run": "of import: only say what would be refused or done",
    LOOK_FIRST: "of import: records up to an empty line are only looked at",
}

_log = structlog.get_logger()


def main(
    name: str, kind: type[_Settings_contra], migrations: Path, commands: Mapping[str, Command] | None = None
) -> int:
    """Run one of the service's commands and return the exit status; `commands` are those that others do not have."""
    own = commands or {}
    parser = argparse.ArgumentParser(prog=f"services.{name}", description=f"The {name} service of Chatkit.")
    parser.add_argument(
        "command",
        choices=("serve", "migrate", *own),
        help=f"serve calls, bring the schema up to date{''.join(f', or {command}' for command in own)}",
    )
    flags = {flag: text for each in own.values() for flag, text in each.flags.items()}
    for flag, text in flags.items():
        parser.add_argument(f"--{flag}", dest=flag, action="store_true", help=text)
    arguments = vars(parser.parse_args())
    command, told = arguments.pop("command"), {flag for flag, is_told in arguments.items() if is_told}
    if strange := told - set(own[command].flags if command in own else ()):
        parser.error(f"{command} knows no --{min(strange)}")
    try:
        settings = read_settings_of(kind)
        logs.configure(settings.log_format, name, Release(settings.commit))
        _refuse_sample_passwords(settings)
        with naming_settings(settings):
            if command == "migrate":
                return _migrate(name, settings.migrate_database_url.get_secret_value(), migrations)
            if command in own:
                run: Run[_Settings_contra] = resolve_name(own[command].run)
                return uvloop.run(_run(run, settings, told))
            build: Build[_Settings_contra] = resolve_name(f"services.{name}.app:build")
            return uvloop.run(_serve(build, settings))
    except (ValueError, ValidationError, OSError) as error:
        logs.complain(f"{name}: {error}")
        return 2
    except (psycopg.Error, DBAPIError) as error:
        logs.complain(f"{name}: {in_one_line(error)}")
        return 2


def _migrate(name: str, dsn: str, migrations: Path) -> int:
    if not dsn:
        raise ValueError("CHATKIT_MIGRATE_DATABASE_URL is not set")
    upgrade = resolve_name("services.runtime.data.migrations:upgrade")
    sys.stdout.write(f"{name}: {upgrade(dsn, name, migrations)}\n")
    return 0


async def _run(run: Run[_Settings_contra], settings: _Settings_contra, flags: Collection[str]) -> int:
    return await run(settings, SystemClock(), flags)


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


async def _serve(build: Build[_Settings_contra], settings: _Settings_contra) -> int:
    told_to_end, told_to_stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told_to_end.set)
    loop.add_signal_handler(signal.SIGINT, told_to_stop.set)
    async with build(settings, SystemClock()) as server:
        # From now on the garbage collector looks at what calls make. Where it looked at the hundred thousand objects of
        # the modules as well, each full collection would stop every call for 0.1 to 0.25 s.
        gc.freeze()
        await _first(told_to_end.wait(), told_to_stop.wait(), server.lifetime.failed.wait())
        if told_to_end.is_set():
            _log.info("draining", seconds=settings.drain_seconds)
            await _first(server.lifetime.drain(), told_to_stop.wait(), server.lifetime.failed.wait())
        _log.info("stopping")
    return 1 if server.lifetime.failed.is_set() else 0


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Return when the first of several is done, and cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
