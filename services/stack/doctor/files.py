"""Checks of what lies on a disk: room, keys, certificates, logs."""

import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from services.runtime.identity.keys import Keyring
from services.stack.doctor.findings import Finding, Level
from services.stack.terminal import size

_MEGABYTE = 1_000_000
# As services/runtime/logs.py writes it.
_LOST = b'"event": "log_lines_lost"'


def check_disk(folder: Path, little: int = 2_000 * _MEGABYTE, least: int = 200 * _MEGABYTE) -> Iterator[Finding]:
    """Look how much room is left where a folder is."""
    free = shutil.disk_usage(folder).free
    if free < little:
        yield Finding(
            Level.BROKEN if free < least else Level.SOON,
            "disk",
            f"{size(free)} are free where {folder} is",
            "make room: without it PostgreSQL stops, and lines of logs are lost",
        )


def check_keys(keys: Path, service_keys: Path, jwks: Path | None = None) -> Iterator[Finding]:
    """Read the files of keys as services do when they start."""
    try:
        Keyring(keys, jwks, service_keys, allow_sample_secrets=True)
    except OSError as error:
        what = f"{error.filename} can't be read ({error.strerror})"
    except ValueError as error:
        what = f"the keys of tokens can't be used ({error})"
    else:
        return
    yield Finding(
        Level.BROKEN, "keys", what, "put the file right: processes keep the keys from before, and none can start anew"
    )


def check_certificates(
    paths: Iterable[Path], now: datetime | None = None, soon: timedelta = timedelta(days=14)
) -> Iterator[Finding]:
    """Look when certificates end. Of a file with several the first one is shown; of a CA's, the last to end counts."""
    for path in paths:
        try:
            certificates = x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds none in PEM"
            advice = "put the file right: processes keep the one from before, and none can start anew"
            yield Finding(Level.BROKEN, "certificates", f"the certificate {path} can't be read ({reason})", advice)
        else:
            yield from _check_times(path, certificates, now or datetime.now(UTC), soon)


def _check_times(path: Path, certificates: list[x509.Certificate], now: datetime, soon: timedelta) -> Iterator[Finding]:
    shown = certificates[0]
    if _is_authority(shown):
        shown = max(certificates, key=lambda certificate: certificate.not_valid_after_utc)
    begin, end = shown.not_valid_before_utc, shown.not_valid_after_utc
    advice = "put another in its place, which is used without a restart"
    if now >= end:
        yield Finding(
            Level.BROKEN, "certificates", f"the certificate {path} has ended, at {end:%Y-%m-%d %H:%M}", advice
        )
    elif now < begin:
        what = f"the certificate {path} is not good before {begin:%Y-%m-%d %H:%M}"
        yield Finding(Level.BROKEN, "certificates", what, advice)
    elif end - now < soon:
        what = f"the certificate {path} ends at {end:%Y-%m-%d %H:%M}, in {(end - now).days} days"
        yield Finding(Level.SOON, "certificates", what, advice)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def check_logs(logs: Path) -> Iterator[Finding]:
    """Look whether processes could not write lines of their logs; what was rotated away is not looked at."""
    for log in sorted(logs.glob("*.log")):
        lost = _lost_lines(log)
        if lost:
            yield Finding(
                Level.ODD,
                "logs",
                f"{log.stem} could not write {lost:,} line{'s' * (lost != 1)} of its log",
                f"the disk was full when {log} was written; they are gone, and this is said until it is rotated",
            )


def _lost_lines(log: Path) -> int:
    """Return how many lines a log says are missing; at least one for each place where some are."""
    lost = 0
    with log.open("rb") as lines:
        for line in lines:
            if _LOST in line:
                lost += _count(line)
    return lost


def _count(line: bytes) -> int:
    try:
        return max(1, int(json.loads(line)["count"]))
    except (ValueError, KeyError, TypeError):
        # Cut, as what follows a full disk may be.
        return 1
