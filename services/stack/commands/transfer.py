"""The command lines of `chatkit import` and `chatkit export`: progress while they go on, a report at their end."""

import argparse
import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from chatkit_client import Client, connect
from services.stack import sign_in
from services.stack.home import Home
from services.stack.machine.recorded import environment
from services.stack.progress import progress_bar
from services.stack.terminal import printable
from services.stack.transfer.attachments import FOLDER, LocalFiles
from services.stack.transfer.children import GO_ON
from services.stack.transfer.exporting import Exporter
from services.stack.transfer.importing import importing
from services.stack.transfer.report import COUNTS, Refusal, Report
from services.stack.trouble import Trouble

_OPTIONS = (("grpc.enable_http_proxy", 0),)
_LIFETIME = timedelta(days=1)


def take(home: Home, arguments: argparse.Namespace) -> int:
    """Import an export; the exit status is 1 when anything was refused."""
    folder = Path(arguments.folder)
    local = LocalFiles(folder, Path(arguments.attachments) if arguments.attachments else folder / FOLDER)
    with progress_bar() as progress:
        report = Report(_tell(progress, is_json=arguments.json))
        try:
            asyncio.run(_take(home, folder, local, report, progress, dry_run=arguments.dry_run))
        except KeyboardInterrupt:
            progress.stop()
            sys.stderr.write(f"chatkit: stopped; {GO_ON}\n")
            raise
    if arguments.json:
        print(json.dumps(report.as_json()))
    else:
        print(_shown(report))
    return 0 if report.all_taken else 1


async def _take(
    home: Home, folder: Path, files: LocalFiles, report: Report, progress: Progress, *, dry_run: bool
) -> None:
    async with _client(home) as client:
        reading = progress.add_task("reading", total=None)
        try:
            async with importing(folder, files, cache(partial(environment, home)), client, report) as importer:
                count = await importer.look(lambda count: progress.advance(reading, count))
                progress.remove_task(reading)
                if not dry_run:
                    writing = progress.add_task("writing", total=count)
                    await importer.write(lambda count: progress.advance(writing, count))
        except sqlite3.Error as error:
            # There may be more than the disk has room for.
            raise Trouble(f"the records can't be put in order: {error}") from None


def give(home: Home, arguments: argparse.Namespace) -> int:
    """Export everything; the exit status is 1 when content of an attachment is not there any more."""
    with progress_bar() as progress:
        exporter = asyncio.run(_give(home, Path(arguments.folder), progress, is_json=arguments.json))
    counts = exporter.counts
    shown = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    print(json.dumps(counts) if arguments.json else shown)
    return 1 if counts["missing_files"] else 0


async def _give(home: Home, folder: Path, progress: Progress, *, is_json: bool) -> Exporter:
    async with _client(home) as client:
        tell = _tell(progress, is_json=is_json)
        exporter = Exporter(folder, lambda service: environment(home, service), client, tell)
        task = progress.add_task("writing", total=None)
        await exporter.write(lambda count: progress.advance(task, count))
    return exporter


def _client(home: Home) -> Client:
    async def superuser() -> str:
        return sign_in.token(home, None, su=True, lifetime=_LIFETIME)

    return connect(home.running_address(), superuser, options=_OPTIONS)


def _tell(progress: Progress, *, is_json: bool) -> Callable[[Refusal], None]:
    """Return what tells a refusal at once: a line on standard error or, for machines, an object on standard output."""

    def tell(refusal: Refusal) -> None:
        if is_json:
            print(json.dumps({"refused": asdict(refusal)}))
        elif progress.disable:
            sys.stderr.write(f"{printable(str(refusal))}\n")
        else:
            progress.console.print(printable(str(refusal)), markup=False, highlight=False, soft_wrap=True)

    return tell


def _shown(report: Report) -> str:
    table = Table("", *report.counts, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in COUNTS:
        if any(counts[name] for counts in report.counts.values()):
            table.add_row(name.replace("_", " "), *(f"{counts[name]:,}" for counts in report.counts.values()))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    limits = [
        f"{limit.name} is {limit.maximum:,}: exceeded by {limit.records:,} records, the largest has {limit.largest:,}."
        f" Start the suite with {limit.variable}={limit.largest} to take them."
        for limit in report.limits.values()
    ]
    return "\n".join([captured.get().rstrip(), *limits])
