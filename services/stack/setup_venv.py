"""Makes the repository's .venv and starts a module in it: run by the launcher, with the standard library only.

.venv is complete while its stamp, which is written last, equals the hash of what it was made from. Whatever else is
found there, an interrupted install or one of older pins, is made anew, by one launcher at a time.
"""

import fcntl
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EXTRAS = "dev,stack"
STAMP = "chatkit-stamp"
WHEELS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
NEWEST_PYTHON = (3, 14)
OLDEST_GLIBC = (2, 31)
OLDEST_DARWIN = 24  # macOS 15

Run = Callable[[Sequence[str], Path, int], None]


class SetupError(Exception):
    """Why there is no complete .venv, in a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Build:
    """The facts about a system and its Python that decide whether there are wheels for them."""

    system: str
    machine: str
    release: str
    glibc: tuple[int, ...]  # empty where the C library is another
    implementation: str
    python: tuple[int, int]
    bits: int
    free_threaded: bool
    has_ensurepip: bool

    @classmethod
    def running(cls) -> "Build":
        """Describe the interpreter that runs this."""
        return cls(
            system=os.uname().sysname,
            machine=os.uname().machine,
            release=os.uname().release,
            glibc=_glibc(),
            implementation=sys.implementation.name,
            python=sys.version_info[:2],
            bits=64 if sys.maxsize > 2**32 else 32,
            free_threaded="t" in sys.abiflags,
            has_ensurepip=importlib.util.find_spec("ensurepip") is not None,
        )


def refusal(build: Build) -> str | None:
    """Say why chatkit can't be installed with this build of Python, or return None."""
    python = _dotted(build.python)
    too_old = build.system == "Darwin" and int(build.release.partition(".")[0]) < OLDEST_DARWIN
    if too_old or (build.system, build.machine) not in WHEELS:
        return (
            "there are builds of PostgreSQL and Envoy for Linux (x86-64, arm64) and macOS 15 (arm64) only, "
            f"and this Python runs on {build.system} {build.release} {build.machine}"
        )
    if build.system == "Linux" and build.glibc < OLDEST_GLIBC:
        found = f"glibc {_dotted(build.glibc)}" if build.glibc else "another C library, such as musl"
        return f"PostgreSQL and Envoy need glibc {_dotted(OLDEST_GLIBC)} or newer, and this system has {found}"
    if (build.implementation, build.bits, build.free_threaded) != (
        "cpython",
        64,
        False,
    ) or build.python > NEWEST_PYTHON:
        threads = "free-threaded " if build.free_threaded else ""
        return (
            f"64-bit CPython 3.11 to {_dotted(NEWEST_PYTHON)} is needed, and {sys.executable} is "
            f"{build.bits}-bit {threads}{build.implementation} {python}: set PYTHON to another"
        )
    if not build.has_ensurepip:
        return (
            f"{sys.executable} has no ensurepip: install the package that has it "
            f"(Debian and Ubuntu: apt install python{python}-venv), or set PYTHON to another Python"
        )
    return None


def is_complete(root: Path) -> bool:
    """Tell whether .venv is what this interpreter would make now."""
    try:
        return _stamp(root).read_text() == expected_stamp(root)
    except FileNotFoundError:
        return False


def expected_stamp(root: Path) -> str:
    """Hash what .venv is made from: the pins, this Python's version and the folder, since a .venv can't be moved."""
    interpreter = f"{sys.implementation.name} {sys.version_info[:3]} {os.uname().machine}"
    digest = hashlib.sha256()
    for part in (
        (root / "pyproject.toml").read_bytes(),
        (root / "constraints.txt").read_bytes(),
        f"{interpreter} {EXTRAS}".encode(),
        os.fsencode(root),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def ensure(root: Path, run: Run) -> None:
    """Make .venv complete; `run` is handed each command, the folder, and the lock's file descriptor to pass on."""
    with _locked(root) as lock:
        if is_complete(root):
            return
        reason = refusal(Build.running())
        if reason:
            raise SetupError(reason)
        _say(f"installing into .venv with Python {_dotted(sys.version_info[:3])}; this happens once")
        began = time.monotonic()
        _stamp(root).unlink(missing_ok=True)
        for command in commands():
            run(command, root, lock)
        _write_stamp(root)
        _say(f"installed in {time.monotonic() - began:.0f} s")


def commands() -> list[list[str]]:
    """List the install: an empty environment, pip, the build backend, then chatkit itself, editable.

    pip gets no option about indexes or output, so the user's settings hold; -I keeps a PYTHONPATH from satisfying it.
    """
    python = ".venv/bin/python"
    pip_install = [python, "-I", "-m", "pip", "install", "--constraint", "constraints.txt"]
    return [
        [sys.executable, "-I", "-m", "venv", "--clear", "--without-pip", ".venv"],
        [python, "-I", "-m", "ensurepip", "--default-pip"],
        [*pip_install, "hatchling"],
        [*pip_install, "--no-build-isolation", "--editable", f".[{EXTRAS}]"],
    ]


def run_command(command: Sequence[str], folder: Path, lock: int) -> None:
    """Run one command of the install, its output on stderr, since stdout belongs to what is started afterwards.

    The child shares the lock: if this process is killed, nobody clears .venv while an orphaned pip still writes there.
    """
    # A `user = true` in pip's configuration can't work in a virtual environment.
    environ = {**os.environ, "PIP_USER": "0"}
    subprocess.run(command, cwd=folder, env=environ, stdout=sys.stderr, pass_fds=[lock], check=True)


def main(arguments: list[str]) -> int:
    """Answer `check` with the exit status, or `run MODULE …`: make .venv complete and become that module."""
    root = Path(__file__).resolve().parents[2]
    if arguments == ["check"]:
        return 0 if is_complete(root) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        ensure(root, run_command)
    except KeyboardInterrupt:
        _say("interrupted; the next run starts the install anew")
        return 128 + signal.SIGINT
    except SetupError as error:
        _say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        _say(f"the install failed, see above; the next run starts it anew ({' '.join(error.cmd)})")
        return 1
    except OSError as error:
        _say(f"can't make .venv: {error}")
        return 1
    python = os.fspath(root / ".venv/bin/python")
    return os.execv(python, [python, "-m", *arguments[1:]])


@contextmanager
def _locked(root: Path) -> Iterator[int]:
    """Hold the install lock, which the kernel frees when its holders die."""
    with (root / ".venv.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another chatkit is installing into .venv; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _stamp(root: Path) -> Path:
    return root / ".venv" / STAMP


def _write_stamp(root: Path) -> None:
    draft = _stamp(root).with_suffix(".new")
    draft.write_text(expected_stamp(root))
    draft.replace(_stamp(root))


def _glibc() -> tuple[int, ...]:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ()
    return tuple(int(part) for part in name.removeprefix("glibc ").split(".")[:2])


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _say(text: str) -> None:
    print(f"chatkit: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
