"""Key pairs of the algorithms that a JWK set may hold."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHMS = ("RS256", "ES256", "EdDSA")
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def generate(algorithm: str) -> Private:
    """Make a key pair."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def jwk(private: Private, kid: str, /, **changes: Any) -> dict[str, Any]:
    """Return the public part as a JWK, without `alg` and `key_ops`."""
    match private:
        case rsa.RSAPrivateKey():
            made = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())
        case ec.EllipticCurvePrivateKey():
            made = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key())
        case _:
            made = jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key())
    known = {name: value for name, value in json.loads(made).items() if name != "key_ops"}
    return {name: value for name, value in {**known, "kid": kid, **changes}.items() if value is not None}


def pem(private: Private) -> str:
    """Return the public part as PEM."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
