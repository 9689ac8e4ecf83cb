"""The two releases: this checkout, and a commit in a worktree of its own."""

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from services.stack.commit import commit
from services.stack.machine.processes import Program

ROOT = Path(__file__).resolve().parents[3]
_PINS = "constraints.txt"
_SHORT = 12
_GIT = ("git",)
# Where a process that was started with `environment` has its code from.
_SHOW_ORIGINS = (
    "import services, chatkit.messages.v1.message_pb2 as message; print(services.__file__); print(message.__file__)"
)
# Methods as the generated code names them, the same in every release.
_METHOD = r"'/(chatkit\.[\w.]+/\w+)'"
# Where the release is named as long as no version is tagged.
_PAGE = ROOT / "docs" / "compatibility.md"
_NAMED = re.compile(r"the last release is commit `([0-9a-f]{12,40})`")


class CanNotTell(Exception):
    """Why the releases can't be tried together, in a sentence."""


@dataclass(frozen=True, slots=True)
class Release:
    """The code of a release, and the Python that has what it needs."""

    commit: str
    root: Path
    python: Path

    def __str__(self) -> str:
        """Return the beginning of the commit."""
        sha, dash, state = self.commit.partition("-")
        return f"{sha[:_SHORT]}{dash}{state}"

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process have its code from here, wherever it is started."""
        return {
            "PYTHONPATH": os.pathsep.join((str(self.root), str(self.root / "protos" / "gen"))),
            "PYTHONSAFEPATH": "1",
            "CHATKIT_COMMIT": self.commit,
        }

    def runs(self, program: Program) -> Program:
        """Return a program of this release in the place of the same one of another."""
        return replace(
            program,
            command=(str(self.python), *program.command[1:]),
            environment={**program.environment, **self.environment},
        )

    def methods(self) -> set[str]:
        """Return the paths of the methods that its contract has."""
        generated = (self.root / "protos" / "gen").rglob("*_pb2_grpc.py")
        return {f"/{method}" for file in generated for method in re.findall(_METHOD, file.read_text())}

    def check(self) -> None:
        """Raise CanNotTell when its processes would have their code from elsewhere."""
        told = {**os.environ, **self.environment}
        done = subprocess.run(
            [str(self.python), "-c", _SHOW_ORIGINS], env=told, capture_output=True, text=True, check=False
        )
        origins = [Path(line) for line in done.stdout.splitlines()]
        if done.returncode or not all(origin.is_relative_to(self.root) for origin in origins):
            raise CanNotTell(f"processes of {self} would not run its code: {done.stderr or done.stdout}")


def this() -> Release:
    """Return the release of this checkout, with what was changed in it since its commit."""
    return Release(commit(), ROOT, Path(sys.executable))


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Release]:
    """Lend another release, which lies in a worktree; it has this Python where its pins are the same, else its own."""
    sha = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    root = folder / "other"
    _git("worktree", "add", "--detach", str(root), sha)
    try:
        yield Release(sha, root, _python(root))
    finally:
        _git("worktree", "remove", "--force", str(root))


def default_revision() -> str:
    """Return the last release: the last tag of a version, or the commit that docs/compatibility.md names."""
    try:
        return _git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*")
    except CanNotTell:
        named = _NAMED.search(_PAGE.read_text())
        if named is None:
            raise CanNotTell(f"no version is tagged, and {_PAGE.name} names no commit as the last release") from None
        return named[1]


def has_history() -> bool:
    """Tell whether the commits before this one are here, as they are not in an archive or a shallow clone."""
    try:
        return _git("rev-parse", "--is-shallow-repository") == "false" and int(_git("rev-list", "--count", "HEAD")) > 1
    except CanNotTell:
        return False


def files_of(revision: str, folder: Path, *paths: str) -> None:
    """Write these files and folders into a folder as they were then."""
    packed = _output("archive", "--format=tar", revision, "--", *paths)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _python(root: Path) -> Path:
    if (root / _PINS).read_bytes() == (ROOT / _PINS).read_bytes():
        return Path(sys.executable)
    # Any of its commands makes its .venv first; this one does nothing else.
    subprocess.run([str(root / "chatkit"), "limits"], stdout=subprocess.DEVNULL, check=True)
    return root / ".venv" / "bin" / "python"


def _git(*arguments: str) -> str:
    return _output(*arguments).decode().strip()


def _output(*arguments: str) -> bytes:
    done = subprocess.run((*_GIT, *arguments), cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise CanNotTell(f"git {' '.join(arguments)}: {why or 'there is no such commit'}")
    return done.stdout
