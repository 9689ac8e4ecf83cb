"""What an image's health check says: of a service that is not ready, of TLS on either side, and of nobody."""

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.runtime import healthcheck
from services.stack.machine.ports import Port
from tests.deploy.compose import ROOT
from tests.support import tokens
from tests.support.eventually import HANG_SECONDS


def _ask(protocol: str, listen: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", healthcheck.__name__, protocol]
    environ = {**os.environ, "CHATKIT_LISTEN": listen, **environment}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=HANG_SECONDS
    )


def test_a_service_that_waits_for_its_database_is_not_healthy(tmp_path: Path) -> None:
    keys, service_keys = tokens.write_keys(tmp_path)
    held = Port("127.0.0.1")
    environment = {
        "CHATKIT_LISTEN": held.address.replace("127.0.0.1", "0.0.0.0"),
        "CHATKIT_DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none",
        "CHATKIT_INSTANCE": tokens.INSTANCE,
        "CHATKIT_KEYS_FILE": str(keys),
        "CHATKIT_SERVICE_KEYS_FILE": str(service_keys),
    }
    command = [sys.executable, "-m", "services.users", "serve"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"listening" in process.stderr.readline()
            asked = _ask("grpc", environment["CHATKIT_LISTEN"])
        finally:
            process.terminate()
            held.release()
    assert (asked.returncode, asked.stderr) == (1, "not healthy: NOT_SERVING\n")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_nobody_is_not_healthy(protocol: str) -> None:
    held = Port("127.0.0.1")
    asked = _ask(protocol, held.address)
    held.release()
    assert asked.returncode == 1
    assert asked.stderr.startswith("not healthy: ")
    assert asked.stderr.count("\n") == 1


def test_a_setting_that_makes_no_sense_is_said() -> None:
    asked = _ask("grpc", "0.0.0.0:50051", CHATKIT_LOG_FORMAT="xml")
    assert asked.returncode == 1
    assert "CHATKIT_LOG_FORMAT" in asked.stderr


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, Path]:
    """Make a certificate that signs itself, of a host called `users`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chatkit")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("users")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem"}
    files["certificate"].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files["key"].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return files


@contextmanager
def _service_with_tls(files: dict[str, Path]) -> Iterator[str]:
    key, certificate = files["key"].read_bytes(), files["certificate"].read_bytes()
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, require_client_auth=True)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def test_a_service_with_tls_is_asked_with_its_own_certificate(certificate: dict[str, Path]) -> None:
    told = {
        "CHATKIT_TLS_CERTIFICATE_FILE": str(certificate["certificate"]),
        "CHATKIT_TLS_KEY_FILE": str(certificate["key"]),
        "CHATKIT_TLS_CA_FILE": str(certificate["certificate"]),
    }
    with _service_with_tls(certificate) as address:
        assert _ask("grpc", address, **told).returncode == 0
        assert _ask("grpc", address).returncode == 1


class _Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has
        pass


class _Quiet(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that plain HTTP arrives at a port with TLS is what is tested."""


@contextmanager
def _edge(status: int, files: dict[str, Path] | None) -> Iterator[str]:
    server = _Quiet(("127.0.0.1", 0), type("Answer", (_Answer,), {"status": status}))
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["certificate"], files["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_edge_is_asked_for_its_first_page(certificate: dict[str, Path], tls: bool) -> None:
    files = certificate if tls else None
    with _edge(200, files) as address:
        assert _ask("http", address).returncode == 0
    with _edge(503, files) as address:
        asked = _ask("http", address)
    assert (asked.returncode, asked.stderr) == (1, "not healthy: GET / answers 503\n")
