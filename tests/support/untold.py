"""What no process may write to its log: tokens, the secrets of keys, and passwords."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support import tokens

SECRETS = (tokens.KEY.secret, tokens.SECOND_KEY.secret, tokens.SERVICE_KEY.secret)
# A JSON Web Token: what says how it is signed, what it claims, and the signature.
_TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}")
# A line of a service's log, as people and as machines read it; of whatever else a test prints there may be anything.
_LOGGED = re.compile(r"^(\d{4}-\d\d-\d\d .*\[\w+ *\]|\{.*\"level\")")


def logged(text: str) -> Iterator[str]:
    """Yield the lines that a service has logged."""
    return (line for line in text.splitlines() if _LOGGED.match(line))


def told(lines: Iterable[str], secrets: Sequence[str] = SECRETS) -> list[str]:
    """Return the lines that hold a token or one of the secrets."""
    return [line for line in lines if _TOKEN.search(line) or any(secret in line for secret in secrets)]


def nothing_told(files: Iterable[Path], secrets: Sequence[str] = SECRETS) -> None:
    """Fail if a file that processes have written holds a token or one of the secrets."""
    written = (path for path in files if path.is_file())
    found = {path.name: told(path.read_text(errors="replace").splitlines(), secrets) for path in written}
    assert not any(found.values()), found


def secrets_in(folder: Path) -> list[str]:
    """List all secrets that the files of a folder hold."""
    return [secret for file in folder.glob("*.json") for secret in _strings(json.loads(file.read_text()))]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield from (found for key, inner in value.items() if key != "id" for found in _strings(inner))
        case list():
            yield from (found for inner in value for found in _strings(inner))
        case str():
            yield value
