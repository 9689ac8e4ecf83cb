"""The keys of tokens, as their files have them now: secrets for HS256, public keys, and the services' own.

A key verifies its own algorithm only, whatever a token's header says. No secret stands in a log or in an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.runtime.identity.api_keys import ApiKey, listed, parse_keys, refuse_twins, text
from services.runtime.watched_files import WatchedFiles

_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_SMALLEST_RSA_BITS = 2_048
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies tokens which somebody else signs."""

    id: str
    algorithm: str
    # The key of the JWK set with `kid` and `alg`, as compact JSON.
    jwk: str
    material: Any = field(compare=False, repr=False)


Key = ApiKey | PublicKey


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys in force: customers' in any order, the services' own with the signing one first."""

    api: tuple[Key, ...]
    service: tuple[ApiKey, ...]


class Keyring:
    """The keys in force, read again whenever somebody looks; what makes no sense at that time changes nothing."""

    def __init__(
        self,
        keys_file: Path,
        jwks_file: Path | None = None,
        service_keys_file: Path | None = None,
        *,
        allow_sample_secrets: bool = False,
    ) -> None:
        secrets = partial(parse_keys, allow_sample_secrets=allow_sample_secrets)
        self._api = WatchedFiles([keys_file], partial(secrets, keys_file))
        self._public = WatchedFiles([jwks_file], partial(_parse_jwks, jwks_file)) if jwks_file is not None else None
        self._service: WatchedFiles[tuple[ApiKey, ...]] | None = None
        if service_keys_file is not None:
            parse = partial(secrets, service_keys_file, may_be_empty=False)
            self._service = WatchedFiles([service_keys_file], parse)
        self.keys = Keys(self._customers(), self._services())
        if not self.keys.api:
            raise ValueError(f"{keys_file} has no keys")

    def look(self) -> bool:
        """Look at the files, and tell whether the keys in force are others than before."""
        # Every file is looked at, also when one before it has changed.
        looked = [files.look() for files in (self._api, self._public, self._service) if files is not None]
        if not any(looked):
            return False
        before, self.keys = self.keys, Keys(self._customers_or(self.keys.api), self._services())
        _log.info(
            "keys_changed", keys=[key.id for key in self.keys.api], service_keys=[key.id for key in self.keys.service]
        )
        return self.keys != before

    def _customers(self) -> tuple[Key, ...]:
        public = self._public.value if self._public is not None else ()
        keys: tuple[Key, ...] = (*self._api.value, *public)
        refuse_twins("the files of keys", (key.id for key in keys))
        return keys

    def _customers_or(self, before: tuple[Key, ...]) -> tuple[Key, ...]:
        try:
            return self._customers()
        except ValueError as error:
            _log.error("keys_unusable", problem=str(error))
            return before

    def _services(self) -> tuple[ApiKey, ...]:
        return self._service.value if self._service is not None else ()


def _parse_jwks(path: Path, content: bytes) -> tuple[PublicKey, ...]:
    try:
        jwks = listed(content)
    except ValueError:
        raise ValueError(f'{path} is not a JWK set: {{"keys": [{{"kty": "…", "kid": "…", …}}]}}') from None
    keys = tuple(_public_key(path, jwk) for jwk in jwks)
    refuse_twins(str(path), (key.id for key in keys))
    return keys


def _public_key(path: Path, jwk: Mapping[str, Any]) -> PublicKey:
    try:
        kid = text(jwk.get("kid"))
    except ValueError:
        raise ValueError(f"{path}: a key has no kid") from None
    if jwk.get("kty") == "oct":
        raise ValueError(f"{path}: the key {kid} is a secret (oct), and secrets belong in the keys file")
    if "d" in jwk:
        raise ValueError(f"{path}: the key {kid} is a private key, and only its public part belongs here")
    if jwk.get("use", "sig") != "sig":
        raise ValueError(f"{path}: the key {kid} is not for signatures")
    algorithm = _algorithm(path, kid, jwk)
    complete = {**jwk, "kid": kid, "alg": algorithm}
    try:
        material = jwt.PyJWK(complete, algorithm).key
    except (jwt.PyJWTError, TypeError, ValueError):
        raise ValueError(f"{path}: the key {kid} can't be read") from None
    if isinstance(material, RSAPublicKey) and material.key_size < _SMALLEST_RSA_BITS:
        raise ValueError(f"{path}: the key {kid} has fewer than {_SMALLEST_RSA_BITS} bits")
    return PublicKey(kid, algorithm, json.dumps(complete, sort_keys=True, separators=(",", ":")), material)


def _algorithm(path: Path, kid: str, jwk: Mapping[str, Any]) -> str:
    kind = (jwk.get("kty"), None if jwk.get("kty") == "RSA" else jwk.get("crv"))
    algorithm = next((name for known, name in _ALGORITHMS.items() if known == kind), None)
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise ValueError(f"{path}: the key {kid} is none for RS256, ES256 (P-256) or EdDSA (Ed25519)")
    return algorithm
