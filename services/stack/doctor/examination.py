"""All checks of a suite, in the order in which what they find is told within a level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.stack.doctor.database import Server, check_database
from services.stack.doctor.files import check_certificates, check_disk, check_keys, check_logs
from services.stack.doctor.findings import Finding, worst_first
from services.stack.doctor.lag import check_lag
from services.stack.doctor.processes import Process, answers_of, check_leftovers, check_processes, check_releases


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. A deployment elsewhere has no files here; where nothing runs there is nothing to ask."""

    folder: Path | None = None
    logs: Path | None = None
    keys: Path | None = None
    service_keys: Path | None = None
    jwks: Path | None = None
    certificates: Sequence[Path] = ()
    databases: Sequence[Server] = ()
    processes: Sequence[Process] = ()
    # What runs although nothing should.
    leftovers: Sequence[str] = ()
    # The release of the code that looks, where others should be of the same.
    release: str = ""


def examine(subject: Subject) -> list[Finding]:
    """Return all that is wrong, the worst first."""
    answers = answers_of(subject.processes)
    # Who does not answer once is not waited for again.
    answering = [one for one in subject.processes if answers[one.name] is not None]
    findings = [
        *check_processes(subject.processes, answers),
        *check_leftovers(subject.leftovers),
        *(finding for server in subject.databases for finding in check_database(server)),
        *_of_files(subject),
        *check_lag({one.name: one.metrics for one in answering if one.metrics}),
        *check_releases(answering, subject.release),
        *(check_logs(subject.logs) if subject.logs is not None else ()),
    ]
    return worst_first(findings)


def _of_files(subject: Subject) -> Iterator[Finding]:
    if subject.folder is not None:
        yield from check_disk(subject.folder)
    if subject.keys is not None and subject.service_keys is not None:
        yield from check_keys(subject.keys, subject.service_keys, subject.jwks)
    yield from check_certificates(subject.certificates)
