"""Asks the process beside it whether it is healthy: what the images' HEALTHCHECK runs, at CHATKIT_LISTEN.

`python -m services.runtime.healthcheck grpc` asks a service over grpc.health.v1, `… http` asks the edge for `GET /`.
The exit status is 0 when it is healthy; else it is 1, and one line says why.
"""

import argparse
import http.client
import ssl
import sys

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.settings import Settings, read_settings

_SECONDS = 2.0
# A process that listens on every address is asked on loopback.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}


def main(arguments: list[str]) -> int:
    """Ask, and return the exit status."""
    parser = argparse.ArgumentParser(prog="services.runtime.healthcheck", description="Ask whether a process serves.")
    parser.add_argument("protocol", choices=("grpc", "http"), help="what it speaks: a service gRPC, the edge HTTP")
    protocol = parser.parse_args(arguments).protocol
    try:
        settings = read_settings()
        address = _own_address(settings.listen)
        trouble = _ask_grpc(address, settings) if protocol == "grpc" else _ask_http(address)
    except (ValueError, OSError, grpc.RpcError, http.client.HTTPException) as error:
        trouble = error.details() if isinstance(error, grpc.Call) else str(error)
    if trouble:
        sys.stderr.write(f"not healthy: {trouble}\n")
    return 1 if trouble else 0


def _own_address(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or int(port) == 0:
        raise ValueError(f"CHATKIT_LISTEN must name the port that is asked, not {listen!r}")
    return f"{_LOOPBACK.get(host, host)}:{port}"


def _ask_grpc(address: str, settings: Settings) -> str:
    with _channel(address, settings) as channel:
        request = health_pb2.HealthCheckRequest()
        status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_SECONDS).status
    serving = status == health_pb2.HealthCheckResponse.SERVING
    return "" if serving else str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def _channel(address: str, settings: Settings) -> grpc.Channel:
    options = [("grpc.enable_http_proxy", 0)]
    files = (settings.tls_ca_file, settings.tls_key_file, settings.tls_certificate_file)
    if any(file is None for file in files):
        return grpc.insecure_channel(address, options=options)
    # With TLS between the processes a service answers only whom it knows, and that is itself, too.
    ca, key, certificate = (file.read_bytes() for file in files if file is not None)
    named = [*options, ("grpc.ssl_target_name_override", _name_in(certificate))]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate), options=named)


def _name_in(certificate: bytes) -> str:
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return names.value.get_values_for_type(x509.DNSName)[0]
    except (x509.ExtensionNotFound, IndexError):
        raise ValueError("the certificate names no host") from None


def _ask_http(address: str) -> str:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return _get(http.client.HTTPConnection(host, int(port), timeout=_SECONDS))
    except (http.client.HTTPException, ConnectionError):
        # Then it has a certificate, which names a host that is not loopback; whoever answers here is this container.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
        return _get(http.client.HTTPSConnection(host, int(port), timeout=_SECONDS, context=context))


def _get(connection: http.client.HTTPConnection) -> str:
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    return "" if status == http.client.OK else f"GET / answers {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
