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
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

BASE, DEV = "base", "dev"
DEV_PINS = "# What tests and checks need besides"
CLIENT = "clients/python"
# What pip installs for a part: the pins, with the hashes of the files that they may be.
REQUIREMENTS = {BASE: "requirements/stack.txt", DEV: "requirements/dev.txt"}
STAMP = "chatkit-stamp"
LOG = ".venv.log"
WHEELS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
NEWEST_PYTHON = (3, 14)
OLDEST_GLIBC = (2, 31)
OLDEST_DARWIN = 24  # macOS 15

_LAST_LINES = 20
_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 1.0
_COLUMNS = 80
# What pip says when it gets a package, in one of several ways, and when it has got all.
_WHEEL = re.compile(r"([^\s/]+?)-[^\s/-]+(?:-\d[^\s/-]*)?-[^\s/-]+-[^\s/-]+-[^\s/-]+\.whl(?![\w.])")
_INSTALLING = "Installing collected packages: "
_OTHER_FILE = "DO NOT MATCH THE HASHES"


class SetupError(Exception):
    """Why there is no complete .venv, in a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the install: what it does, in words, and the packages that it installs, each with its version."""

    what: str
    command: list[str]
    packages: list[str] = field(default_factory=list)


Run = Callable[[Step, Path, int], None]


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
        *(path.read_bytes() for path in sorted((root / "requirements").glob("*.txt"))),
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

    `run` is handed each step, the folder, and the lock's file descriptor to pass on.
    """
    with _locked(root) as lock:
        missing = [part for part in _up_to(wanted) if not is_complete(root, part)]
        if not missing:
            return
        reason = refusal(Build.running())
        if reason:
            raise SetupError(reason)
        began = time.monotonic()
        (root / LOG).unlink(missing_ok=True)
        for part in missing:
            _begin(root, part)
            for step in steps(root, part):
                run(step, root, lock)
            _write_stamp(root, part)
        _say(f"installed in {time.monotonic() - began:.0f} s")


def steps(root: Path, part: str) -> list[Step]:
    """List the install of a part. BASE is an empty environment, pip, packages, then chatkit and its client, editable.

    pip gets no option about indexes or output, so the user's settings hold; -I keeps a PYTHONPATH from satisfying it.
    It is told every package by its version and hashes, and adds none by itself, so DEV can't touch what BASE has.
    """
    python = ".venv/bin/python"
    pip_install = [python, "-I", "-m", "pip", "install", "--no-deps"]
    packages = pins(root)[part]
    hashed = [*pip_install, "--require-hashes", "--requirement", REQUIREMENTS[part]]
    installing = Step(f"installing {len(packages)} packages", hashed, packages)
    if part == DEV:
        return [installing]
    return [
        Step("making an empty environment", [sys.executable, "-I", "-m", "venv", "--clear", "--without-pip", ".venv"]),
        Step("installing pip", [python, "-I", "-m", "ensurepip", "--default-pip"]),
        installing,
        Step("installing chatkit", [*pip_install, "--no-build-isolation", "--editable", CLIENT, "--editable", "."]),
    ]


class Progress:
    """Says on standard error how far a step is: in a line that counts on a terminal, elsewhere in a few lines.

    It knows from what pip says, and from what is there, since pip installs without a word.
    """

    def __init__(self, step: Step, venv: Path) -> None:
        self._wanted = {_plain(package.partition("==")[0]) for package in step.packages}
        self._fetched: set[str] = set()
        # What pip installs, in its order, once it has got all.
        self._order: list[str] = []
        self._venv = venv
        self._is_terminal = sys.stderr.isatty()
        self._shown = ""
        self._stage: object = None
        if self._is_terminal:
            self._show(step.what, step)

    def hear(self, line: str) -> None:
        """Take a line of what pip says."""
        wheel = _WHEEL.search(line)
        if line.startswith(_INSTALLING):
            self._order = [_plain(name) for name in line.removeprefix(_INSTALLING).split(", ")]
            self.look()
        elif "Retrying (" in line:
            self._show("the package index does not answer; pip tries again", "retrying")
        elif wheel and _plain(wheel[1]) in self._wanted - self._fetched:
            self._fetched.add(_plain(wheel[1]))
            self._count("fetching", len(self._fetched), _plain(wheel[1]))

    def look(self) -> None:
        """Count what is installed, once pip does that."""
        if not self._order or not self._wanted:
            return
        there = {_plain(metadata.stem.partition("-")[0]) for metadata in _metadata(self._venv)}
        left = [name for name in self._order if name not in there]
        if left:
            self._count("installing", len(self._order) - len(left) + 1, left[0])

    def ask(self, question: str) -> None:
        """Show a question of pip's, which waits for the answer: an index may want to know who asks."""
        self.end()
        sys.stderr.write(question)
        sys.stderr.flush()

    def end(self) -> None:
        """Leave nothing of a line that counts."""
        if self._is_terminal:
            sys.stderr.write(f"\r{' ' * len(self._shown)}\r")
            self._shown = ""

    def _count(self, verb: str, number: int, name: str) -> None:
        total = len(self._wanted)
        self._show(f"{verb} {number} of {total} packages: {name}", (verb, 2 * number // total))

    def _show(self, text: str, stage: object) -> None:
        if self._is_terminal:
            line = f"chatkit: {text}"[: _columns() - 1]
            if line == self._shown:
                return
            sys.stderr.write(f"\r{line.ljust(len(self._shown))}")
            sys.stderr.flush()
            self._shown = line
        elif stage != self._stage:
            _say(text)
        self._stage = stage


def run_command(step: Step, folder: Path, lock: int) -> None:
    """Run a command of the install, and write all it says to the log; raises CalledProcessError with its last lines.

    The child shares the lock: if this process is killed, nobody clears .venv while an orphaned pip still writes there.
    """
    # A `user = true` in pip's configuration can't work in a virtual environment.
    environ = {**os.environ, "PIP_USER": "0"}
    progress = Progress(step, folder / ".venv")
    with (
        (folder / LOG).open("ab") as log,
        subprocess.Popen(
            step.command,
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
        ) as process,
    ):
        log.write(f"$ {shlex.join(step.command)}\n".encode())
        try:
            last = _follow(process.stdout, log, progress)
        except BaseException:
            # Ctrl-C has reached pip as well, which then clears away what it was fetching.
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            process.kill()
            raise
        finally:
            progress.end()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, step.command, "\n".join(last))


def _follow(said: IO[bytes] | None, log: IO[bytes], progress: Progress) -> Sequence[str]:
    """Hand on what a command says until it has ended; return the last lines."""
    assert said is not None
    last: deque[str] = deque(maxlen=_LAST_LINES)
    rest = b""
    while True:
        if not select.select([said], [], [], _LOOK_SECONDS)[0]:
            if rest.endswith(b": "):
                progress.ask(rest.decode(errors="replace"))
                rest = b""
            progress.look()
            continue
        piece = os.read(said.fileno(), select.PIPE_BUF)
        if not piece:
            return [*last, rest.decode(errors="replace")] if rest else last
        log.write(piece)
        log.flush()
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            last.append(line.decode(errors="replace").rstrip())
            progress.hear(last[-1])


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
        _say("interrupted; the next run tries again")
        return 128 + signal.SIGINT
    except SetupError as error:
        _say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        _say(f"the install failed, and this is how it ended; {root / LOG} has all of it\n\n{error.output}\n")
        if _OTHER_FILE in (root / LOG).read_text(errors="replace"):
            _say("the package index served another file than the one whose hash is in requirements/: don't trust it")
        _say("the next run tries again")
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
    for metadata in _metadata(root / ".venv"):
        if _plain(metadata.stem) in wanted:
            shutil.rmtree(metadata)


def _metadata(venv: Path) -> Iterator[Path]:
    """Yield the folders `name-version.dist-info`, one of each package."""
    return venv.glob("lib/python*/site-packages/*.dist-info")


def _plain(name: str) -> str:
    """Write a package's name in the one way that all spellings of it share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stamp(root: Path) -> Path:
    return root / ".venv" / STAMP


def _write_stamp(root: Path, part: str) -> None:
    draft = _stamp(root).with_suffix(".new")
    draft.write_text("".join(f"{expected_stamp(root, one)}\n" for one in _up_to(part)))
    draft.replace(_stamp(root))


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


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
