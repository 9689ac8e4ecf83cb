"""Where NATS is and how one signs in there, as CHATKIT_NATS_URL says it."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.runtime.settings import TlsFiles

_PORT = 4222


@dataclass(frozen=True, slots=True)
class NatsServers:
    """Where NATS is, and how one signs in there; servers of a cluster take the same credentials."""

    addresses: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    token: str | None = None
    # Reads the files of TLS, anew for each connection; None is plain text.
    tls: Callable[[], ssl.SSLContext] | None = None

    def __repr__(self) -> str:
        return f"NatsServers({', '.join(self.addresses)})"


def parse_servers(url: str, ca_file: Path | None, certificate: TlsFiles | None) -> NatsServers:
    """Read CHATKIT_NATS_URL; the ValueError for another text does not tell its password.

    Several servers are divided by commas; tls:// at the first one means TLS at all. A process that has a certificate
    shows it.
    """
    try:
        parts = [urlsplit(one.strip()) for one in url.split(",")]
        addresses = tuple(f"{_host(part.hostname)}:{part.port or _PORT}" for part in parts)
        schemes = {part.scheme for part in parts}
    except ValueError:
        raise _malformed() from None
    if len(schemes) != 1 or not schemes <= {"nats", "tls"} or any(part.path.strip("/") for part in parts):
        raise _malformed()
    first = parts[0]
    user = unquote(first.username) if first.username else None
    password = unquote(first.password) if first.password else None
    tls = partial(_tls, ca_file, certificate) if schemes == {"tls"} else None
    if tls is not None:
        # A file that can't be read is told at once.
        tls()
    if password is not None and user is None:
        raise _malformed()
    if password is None:
        return NatsServers(addresses, token=user, tls=tls)
    return NatsServers(addresses, user=user, password=password, tls=tls)


def nats_secret(url: str) -> str:
    """Return the password or token in CHATKIT_NATS_URL; empty without one."""
    if not url:
        return ""
    servers = parse_servers(url.replace("tls://", "nats://"), None, None)
    return servers.password or servers.token or ""


def _host(host: str | None) -> str:
    if not host:
        raise ValueError
    return f"[{host}]" if ":" in host else host


def _malformed() -> ValueError:
    return ValueError(
        "CHATKIT_NATS_URL must be like nats://user:password@host:4222, nats://token@host:4222, or tls://…;"
        " several with commas"
    )


def _tls(ca_file: Path | None, certificate: TlsFiles | None) -> ssl.SSLContext:
    if ca_file is not None:
        # Whoever can't open it is told which file it is; ssl would not say that.
        ca_file.open("rb").close()
    context = ssl.create_default_context(cafile=ca_file)
    if certificate is not None:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context
