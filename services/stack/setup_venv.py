"""Makes the repository's .venv and starts a module in it: run by the launcher, with the standard library only.

.venv has two parts: BASE is what `./chatkit up` needs, DEV is what tests and checks need besides. A part is complete
while the stamp, which is written last, has the hash of what it was made from. Where BASE is not complete, whatever is
found there, an interrupted install or one of older pins, is made anew. DEV is only ever added and leaves BASE as it is,
for `up` may be running from it. One launcher at a time does any of this.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BASE, DEV = "base", "dev"
DEV_PINS = "# What tests and checks need besides"
CLIENT = "clients/python"
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


def is_complete(root: Path, part: str) -> bool:
    """Tell whether a part of .venv is what this interpreter would make now."""
    try:
        return expected_stamp(root, part) in _stamp(root).read_text().split()
    except FileNotFoundError:
        return False


def expected_stamp(root: Path, part: str) -> str:
    """Hash what a part is made from: the pins, this Python's version and the folder, since a .venv can't be moved."""
    interpreter = f"{sys.implementation.name} {sys.version_info[:3]} {os.uname().machine}"
    digest = hashlib.sha256()
    for source in (
        (root / "pyproject.toml").read_bytes(),
        (root / CLIENT / "pyproject.toml").read_bytes(),
        (root / "constraints.txt").read_bytes(),
        f"{interpreter} {part}".encode(),
        os.fsencode(root),
    ):
        digest.update(len(source).to_bytes(8, "big") + source)
    return digest.hexdigest()


def pins(root: Path) -> dict[str, list[str]]:
    """Read the exact versions of each part's packages."""
    base, _, dev = (root / "constraints.txt").read_text().partition(DEV_PINS)
    return {part: re.findall(r"^[\w.-]+==\S+$", text, re.MULTILINE) for part, text in ((BASE, base), (DEV, dev))}


def part_of(module: str) -> str:
    """Return the part, with those before it, that a module needs."""
    return DEV if module.partition(".")[0] == "tests" else BASE


def ensure(root: Path, run: Run, wanted: str) -> None:
    """Make a part of .venv complete, and BASE with it.

    `run` is handed each command, the folder, and the lock's file descriptor to pass on.
    """
    with _locked(root) as lock:
        missing = [part for part in _up_to(wanted) if not is_complete(root, part)]
        if not missing:
            return
        reason = refusal(Build.running())
        if reason:
            raise SetupError(reason)
        began = time.monotonic()
        for part in missing:
            _begin(root, part)
            for command in commands(root, part):
                run(command, root, lock)
            _write_stamp(root, part)
        _say(f"installed in {time.monotonic() - began:.0f} s")


def commands(root: Path, part: str) -> list[list[str]]:
    """List the install of a part. BASE is an empty environment, pip, packages, then chatkit and its client, editable.

    pip gets no option about indexes or output, so the user's settings hold; -I keeps a PYTHONPATH from satisfying it.
    It is told every package by its version and adds none by itself, so DEV can't touch what BASE has.
    """
    python = ".venv/bin/python"
    pip_install = [python, "-I", "-m", "pip", "install", "--no-deps"]
    packages = [*pip_install, *pins(root)[part]]
    if part == DEV:
        return [packages]
    return [
        [sys.executable, "-I", "-m", "venv", "--clear", "--without-pip", ".venv"],
        [python, "-I", "-m", "ensurepip", "--default-pip"],
        packages,
        [*pip_install, "--no-build-isolation", "--editable", CLIENT, "--editable", "."],
    ]


def run_command(command: Sequence[str], folder: Path, lock: int) -> None:
    """Run one command of the install, its output on stderr, since stdout belongs to what is started afterwards.

    The child shares the lock: if this process is killed, nobody clears .venv while an orphaned pip still writes there.
    """
    # A `user = true` in pip's configuration can't work in a virtual environment.
    environ = {**os.environ, "PIP_USER": "0"}
    subprocess.run(command, cwd=folder, env=environ, stdout=sys.stderr, pass_fds=[lock], check=True)


def main(arguments: list[str]) -> int:
    """Answer `check MODULE` with the exit status, or `run MODULE …`: install what the module needs and become it."""
    root = Path(__file__).resolve().parents[2]
    verb, module, *rest = arguments
    if verb == "check":
        return 0 if is_complete(root, part_of(module)) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        ensure(root, run_command, part_of(module))
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
    return os.execv(python, [python, "-m", module, *rest])


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


def _up_to(part: str) -> tuple[str, ...]:
    return (BASE, DEV) if part == DEV else (BASE,)


def _begin(root: Path, part: str) -> None:
    if part == DEV:
        _say("adding to .venv what tests and checks need; this happens once")
        _forget(root, pins(root)[DEV])
        return
    _say(f"installing into .venv with Python {_dotted(sys.version_info[:3])}; this happens once")
    _stamp(root).unlink(missing_ok=True)


def _forget(root: Path, packages: Sequence[str]) -> None:
    """Let pip write packages over what it left of them when it was interrupted: their metadata is all that it asks."""
    wanted = {_plain(package.replace("==", "-")) for package in packages}
    for metadata in (root / ".venv").glob("lib/python*/site-packages/*.dist-info"):
        if _plain(metadata.stem) in wanted:
            shutil.rmtree(metadata)


def _plain(name: str) -> str:
    """Write a package's name in the one way that all spellings of it share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stamp(root: Path) -> Path:
    return root / ".venv" / STAMP


def _write_stamp(root: Path, part: str) -> None:
    draft = _stamp(root).with_suffix(".new")
    draft.write_text("".join(f"{expected_stamp(root, one)}\n" for one in _up_to(part)))
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
