"""The folder where the suite's state lives on one machine: data, secrets, logs, and who runs.

One `up` at a time holds its lock. Secrets are made once, in files that only their owner can read.
"""

import fcntl
import json
import os
import secrets
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from services.runtime.bus.subjects import SUBJECTS
from services.stack.roles import all_roles
from services.stack.trouble import Trouble

DEFAULT = ".chatkit"
_SECRET_BYTES = 32
_LOCK_ATTEMPTS, _LOCK_SECONDS = 3, 0.02


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the suite, as recorded. A pid alone is not enough: it may be another process's by now."""

    name: str
    pid: int
    start_time: float
    address: str


@dataclass(frozen=True, slots=True)
class State:
    """What runs: the edge's address, the processes, and where each of them tells its figures, by its name."""

    address: str = ""
    processes: list[Running] = field(default_factory=list)
    is_seeded: bool = False
    metrics: Mapping[str, str] = field(default_factory=dict)


class Home:
    """The state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "postgres"

    @property
    def blobs(self) -> Path:
        """The content of files."""
        return self.folder / "blobs"

    @property
    def logs(self) -> Path:
        """A log file per process."""
        return self.folder / "logs"

    @property
    def traces(self) -> Path:
        """The spans of calls, where the suite keeps them itself."""
        return self.logs / "traces.jsonl"

    @property
    def keys_file(self) -> Path:
        """The API keys that sign users' tokens."""
        return self.folder / "secrets" / "keys.json"

    @property
    def service_keys_file(self) -> Path:
        """The keys that sign the services' tokens to one another."""
        return self.folder / "secrets" / "service_keys.json"

    @property
    def passwords_file(self) -> Path:
        """The database's passwords by role, the superuser's included."""
        return self.folder / "secrets" / "database.json"

    @property
    def instance(self) -> str:
        """The id of this instance, which tokens name."""
        return self._read("instance.json")["instance"]  # type: ignore[no-any-return]

    @property
    def passwords(self) -> dict[str, str]:
        """The database's passwords by role, the superuser's included."""
        return dict(self._read("database.json"))

    @property
    def nats_passwords(self) -> dict[str, str]:
        """What the services sign in to NATS with, by service."""
        told = self._read("nats.json")
        return {service: str(told[service]) for service in SUBJECTS}

    def check(self) -> None:
        """Raise Trouble when something that is not a folder is in the folder's place, or in that of one above it."""
        for folder in (self.folder, *self.folder.parents):
            if folder.exists() and not folder.is_dir():
                raise Trouble(f"the home can't be {self.folder}: {folder} is not a folder")

    def trouble_of(self, error: OSError) -> Trouble | None:
        """Say in a sentence what keeps a file of the home from being used; None about what is not of the home."""
        name = error.filename
        if not isinstance(name, str | os.PathLike) or not Path(name).is_relative_to(self.folder):
            return None
        return Trouble(f"the home can't be {self.folder}: {Path(name)}: {error.strerror}")

    def prepare(self) -> None:
        """Make what is missing, also in a home that an earlier release has made; nothing that exists is touched."""
        self.check()
        for folder in (self.folder, self.folder / "secrets", self.logs):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise Trouble(f"{folder} can't be made: {error.strerror}") from None
        self._make("instance.json", {"instance": str(uuid.uuid4())})
        self._make("keys.json", {"keys": [{"id": "local", "secret": _secret()}]})
        self._make("service_keys.json", {"keys": [{"id": "services", "secret": _secret()}]})
        self._complete("nats.json", SUBJECTS)
        self._complete("database.json", ["postgres", *all_roles()])

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the lock of a running `up`; False when another one holds it."""
        with (self.folder / "up.lock").open("a") as file:
            yield any(_locked(file) for _ in range(_LOCK_ATTEMPTS))

    def is_up(self) -> bool:
        """Tell whether an `up` holds the lock."""
        if not (self.folder / "up.lock").exists():
            return False
        with self.lock() as is_free:
            return not is_free

    def state(self) -> State:
        """Read what was last recorded."""
        try:
            raw = json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            return State()
        processes = [Running(**item) for item in raw["processes"]]
        return State(raw["address"], processes, raw["is_seeded"], raw.get("metrics", {}))

    def record(self, state: State) -> None:
        """Write what runs, as a whole or not at all."""
        write_whole(self.folder / "state.json", asdict(state))

    def running_address(self) -> str:
        """Return the edge's address, or say that nothing runs."""
        address = self.state().address
        if not self.is_up() or not address:
            raise Trouble(f"nothing runs in {self.folder}: start it with ./chatkit up")
        return address

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "secrets" / name).read_text())  # type: ignore[no-any-return]
        except FileNotFoundError:
            raise Trouble(f"{self.folder} is not a home of the suite yet: start it with ./chatkit up") from None

    def _make(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / "secrets" / name
        if not path.exists():
            write_whole(path, content)

    def _complete(self, name: str, wanted: Iterable[str]) -> None:
        """Give a secret to everybody who has none in a file yet."""
        path = self.folder / "secrets" / name
        told: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = {one: _secret() for one in wanted if one not in told}
        if missing:
            write_whole(path, {**told, **missing})


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Whoever only asks whether somebody holds the lock holds it for a moment.
        time.sleep(_LOCK_SECONDS)
        return False
    return True


def write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write JSON into a file of its owner alone, as a whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)
