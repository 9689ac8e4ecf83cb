"""All checks of a suite, in the order in which what they find is told within a level."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.stack.doctor.database import check_database
from services.stack.doctor.files import check_certificates, check_disk, check_keys, check_logs
from services.stack.doctor.findings import Finding, worst_first
from services.stack.doctor.lag import check_lag
from services.stack.doctor.processes import Process, answers_of, check_leftovers, check_processes, check_releases


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at; `database` is empty, and there are no processes, where nothing runs."""

    folder: Path
    logs: Path
    keys: Path
    service_keys: Path
    jwks: Path | None = None
    certificates: Sequence[Path] = ()
    database: str = ""
    processes: Sequence[Process] = ()
    # What runs although nothing should.
    leftovers: Sequence[str] = ()
    # The release of the code that looks.
    release: str = ""


def examine(subject: Subject) -> list[Finding]:
    """Return all that is wrong, the worst first."""
    answers = answers_of(subject.processes)
    # Who does not answer once is not waited for again.
    answering = [one for one in subject.processes if answers[one.name] is not None]
    findings = [
        *check_processes(subject.processes, answers),
        *check_leftovers(subject.leftovers),
        *(check_database(subject.database, str(subject.logs / "postgres.log")) if subject.database else ()),
        *check_disk(subject.folder),
        *check_keys(subject.keys, subject.service_keys, subject.jwks),
        *check_certificates(subject.certificates),
        *check_lag({one.name: one.metrics for one in answering if one.metrics}),
        *check_releases(answering, subject.release),
        *check_logs(subject.logs),
    ]
    return worst_first(findings)
