"""Certificates of an authority that the test makes, in files as a service reads them."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both, in place of what was there, and return the paths."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        key.write_bytes(self.key)
        certificate.write_bytes(self.certificate)
        return certificate, key


class Authority:
    """Somebody who signs certificates."""

    def __init__(self, name: str = "the authority of a test", lifetime: timedelta = _LIFETIME) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key(), lifetime)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = builder.add_extension(basic, True).sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def sign(self, host: str = "127.0.0.1") -> Pair:
        """Return a certificate for a host, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host[0].isdigit():
            names = [x509.IPAddress(ipaddress.ip_address(host))]
        builder = _builder(_name(host), self._name, key.public_key())
        certificate = builder.add_extension(x509.SubjectAlternativeName(names), False).sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(certificate.public_bytes(Encoding.PEM), private)

    def write(self, folder: Path, host: str = "127.0.0.1") -> dict[str, Any]:
        """Write a new certificate into a folder, and return the settings that name the files."""
        certificate, key = self.sign(host)
        contents = {"tls_certificate_file": certificate, "tls_key_file": key, "tls_ca_file": self.pem}
        for name, content in contents.items():
            (folder / f"{name}.pem").write_bytes(content)
        return {name: folder / f"{name}.pem" for name in contents}

    def write_own(self, folder: Path) -> Path:
        """Write the authority's own certificate and return its path."""
        path = folder / "ca.pem"
        path.write_bytes(self.pem)
        return path

    def channel(self, address: str, signed_by: "Authority | None" = None) -> grpc.aio.Channel:
        """Return a channel that trusts this authority, with a certificate of another one if there is one."""
        certificate, key = signed_by.sign() if signed_by is not None else (None, None)
        credentials = grpc.ssl_channel_credentials(self.pem, key, certificate)
        options = (("grpc.use_local_subchannel_pool", 1),)
        return grpc.aio.secure_channel(address, credentials, options=options)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta = _LIFETIME
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - lifetime,
        not_valid_after=now + lifetime,
    )
