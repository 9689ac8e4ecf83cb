"""Certificates: of the edge for clients, and of the edge for services. Private keys stay in the files they came in.

Envoy is told the paths, and reads the files again when something is moved into the folder that it watches; `Watch`
does so whenever a file has changed, whichever way it was replaced.
"""

import asyncio
import json
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import structlog

from services.edge.deployment import Certificate, Deployment
from services.edge.rendering.parts import Json, extension, host_of
from services.runtime.watched_files import WatchedFiles

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name
_SOCKET = "envoy.transport_sockets.tls"
_EDGE, _CLIENT, _SERVICES_CA = "edge", "client", "services_ca"
_MOVED = "changed"
_log = structlog.get_logger()


def downstream_socket(deployment: Deployment) -> Json:
    """Return what makes a listener encrypted, if the deployment has a certificate for clients."""
    if deployment.certificate is None:
        return {}
    context = {
        "tls_certificate_sds_secret_configs": [_described(_EDGE, deployment)],
        "alpn_protocols": ["h2", "http/1.1"],
    }
    return _socket("DownstreamTlsContext", common_tls_context=context)


def upstream_socket(endpoints: Sequence[str], deployment: Deployment, protocol: str = "h2") -> Json:
    """Return what makes the connection to a service encrypted: each side shows a certificate of the same authority.

    The service's must have the host of its address in it.
    """
    if deployment.services_tls is None:
        return {}
    hosts = dict.fromkeys(host_of(endpoint) for endpoint in endpoints)
    context = {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [_name(host) for host in hosts]},
            "validation_context_sds_secret_config": _described(_SERVICES_CA, deployment),
        },
        "tls_certificate_sds_secret_configs": [_described(_CLIENT, deployment)],
        "alpn_protocols": [protocol],
    }
    return _socket("UpstreamTlsContext", auto_host_sni=True, common_tls_context=context)


def _name(host: str) -> Json:
    try:
        return {"san_type": "IP_ADDRESS", "matcher": {"exact": str(ip_address(host))}}
    except ValueError:
        return {"san_type": "DNS", "matcher": {"exact": host}}


def write_descriptions(deployment: Deployment) -> None:
    """Write the files that say where the certificates are; a file that can't be used is a ValueError."""
    watched = {"watched_directory": {"path": str(deployment.tls_folder)}}
    services = deployment.services_tls
    for name, pair in ((_EDGE, deployment.certificate), (_CLIENT, services.certificate if services else None)):
        if pair is not None:
            _check(pair)
            files = {
                "certificate_chain": {"filename": str(pair.certificate_file)},
                "private_key": {"filename": str(pair.key_file)},
            }
            _write(name, deployment, tls_certificate={**files, **watched})
    if services is not None:
        trusted = {"trusted_ca": {"filename": str(services.ca_file)}}
        _write(_SERVICES_CA, deployment, validation_context={**trusted, **watched})


class Watch:
    """Looks at the files of certificates, and lets Envoy know when one has changed."""

    def __init__(self, deployment: Deployment, interval_seconds: float) -> None:
        self._files = WatchedFiles(deployment.tls_files, lambda *contents: contents)
        self._folder = deployment.tls_folder
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            if self._files.look():
                _log.info("certificates_changed")
                moved = self._folder / f"{_MOVED}.new"
                moved.touch()
                moved.rename(self._folder / _MOVED)


def _check(pair: Certificate) -> None:
    try:
        ssl.create_default_context().load_cert_chain(pair.certificate_file, pair.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"{pair.certificate_file} and {pair.key_file} are no certificate with its key: {error}"
        ) from None


def _write(name: str, deployment: Deployment, **content: Json) -> None:
    deployment.tls_folder.mkdir(mode=0o700, exist_ok=True)
    described = {"resources": [{"@type": _SECRET, "name": name, **content}]}
    _path(name, deployment).write_text(json.dumps(described, indent=1), encoding="utf-8")


def _described(name: str, deployment: Deployment) -> Json:
    return {"name": name, "sds_config": {"path_config_source": {"path": str(_path(name, deployment))}}}


def _path(name: str, deployment: Deployment) -> Path:
    return deployment.tls_folder / f"{name}.json"


def _socket(kind: str, **fields: object) -> Json:
    return {
        "transport_socket": {"name": _SOCKET, "typed_config": extension(f"transport_sockets.tls.v3.{kind}", **fields)}
    }
