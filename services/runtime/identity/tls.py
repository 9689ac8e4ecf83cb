"""TLS between the suite's processes: each side shows a certificate that the same authority has signed.

Certificates are read again when their files change; connections that are open keep the one they were made with.
"""

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.runtime.settings import TlsFiles
from services.runtime.watched_files import WatchedFiles

_log = structlog.get_logger()
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_Pems = tuple[bytes, bytes, bytes]


class Certificates:
    """A process's certificate and the authority of all of them, as their files have them now."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._watched = WatchedFiles([files.certificate, files.key, files.ca], self._parse)
        # It goes up when the certificates change.
        self.version = 1

    def look(self) -> None:
        """Look at the files; what can't be used changes nothing."""
        if self._watched.look():
            self.version += 1
            _log.info("certificates_changed", files=[str(self._files.certificate), str(self._files.ca)])

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return what a listener needs: it asks every client for a certificate, and follows the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._for_server(), self._for_server, require_client_authentication=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel needs that is made now."""
        certificate, key, ca = self._watched.value
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _for_server(self) -> grpc.ServerCertificateConfiguration:
        # gRPC asks at every handshake, from a thread of its own.
        certificate, key, ca = self._watched.value
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=ca)

    def _parse(self, certificate: bytes, key: bytes, ca: bytes) -> _Pems:
        """Check that the three can be used together: gRPC would only refuse every handshake."""
        files = self._files
        try:
            shown = x509.load_pem_x509_certificates(certificate)[0].public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"{files.certificate} holds no certificate in PEM") from None
        try:
            held = load_pem_private_key(key, password=None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"{files.key} holds no private key in PEM without a password") from None
        if shown.public_bytes(*_PUBLIC) != held.public_bytes(*_PUBLIC):
            raise ValueError(f"{files.key} is not the key of {files.certificate}")
        try:
            x509.load_pem_x509_certificates(ca)
        except ValueError:
            raise ValueError(f"{files.ca} holds no certificate in PEM") from None
        return certificate, key, ca
