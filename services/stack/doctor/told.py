"""How a deployment's processes and databases are told on the command line."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from services.stack.doctor.database import Server
from services.stack.doctor.processes import Process
from services.stack.machine.replicas import service_of
from services.stack.roles import SERVICES
from services.stack.trouble import Trouble

_LISTENING = ("edge", "nats")
KINDS = (*SERVICES, *_LISTENING)


def process(typed: str) -> Process:
    """Take NAME=HOST:PORT: of the edge and NATS where it listens, of services where they tell their figures."""
    name, _, address = typed.partition("=")
    host, _, port = address.rpartition(":")
    kind = service_of(name)
    if kind not in KINDS or not host or not port.isdecimal():
        raise Trouble(f"--process {typed!r} is not like messages-2=HOST:PORT; names begin with {_or(KINDS)}")
    return Process(name, address) if kind in _LISTENING else Process(name, "", address)


def database(typed: str) -> Server:
    """Take a URL, maybe after the service that it is of; what is none may hold a password, and is not shown."""
    service, _, url = typed.partition("=")
    if service not in SERVICES:
        service, url = "", typed
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        raise Trouble("--database must be like users=postgresql://USER@HOST/DATABASE") from None
    return Server(url, (service,)) if service else Server(url)


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
