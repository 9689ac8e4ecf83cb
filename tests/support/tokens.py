"""Keys and tokens of the tests' instance."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt

from services.runtime.clock import Clock
from services.runtime.contract.policies import Limits
from services.runtime.identity.api_keys import API_ISSUER, ApiKey, mint_token
from services.runtime.identity.keys import Key
from services.runtime.identity.tokens import TokenVerifier, mint_service_token

INSTANCE = "11111111-2222-3333-4444-555555555555"
KEY = ApiKey("test", "the secret of the tests, which is long enough for HS256")
# Not in force until a test writes it into a file of keys.
SECOND_KEY = ApiKey("second", "the secret of a second key, which is also long enough for HS256")
SERVICE_KEY = ApiKey("internal", "another secret of the tests, also long enough for HS256")

Metadata = tuple[tuple[str, str], ...]
# Whether tests are being collected: what is made then is used up to hours later.
is_collecting = False
_LASTS_FOR_ALL_TESTS = timedelta(hours=12)


def write_keys(folder: Path) -> tuple[Path, Path]:
    """Write the files of keys that services read, and return their paths: the API's and the services' own."""
    paths = folder / "keys.json", folder / "service_keys.json"
    for path, key in zip(paths, (KEY, SERVICE_KEY), strict=True):
        write(path, key)
    return paths


def write(path: Path, *keys: ApiKey) -> None:
    """Write a file of keys."""
    path.write_text(json.dumps({"keys": [{"id": key.id, "secret": key.secret} for key in keys]}))


def verifier(
    clock: Clock,
    *,
    keys: Sequence[Key] = (KEY,),
    service_keys: Sequence[ApiKey] = (SERVICE_KEY,),
    service: str = "tested",
    limits: Limits | None = None,
) -> TokenVerifier:
    """Make the verifier of a service, which takes these keys."""
    return TokenVerifier(
        keys=keys,
        service_keys=service_keys,
        instance=INSTANCE,
        service=service,
        limits=limits or Limits(),
        clock=clock,
    )


def token(
    user: str | None,
    *,
    su: bool = False,
    ttl: timedelta = timedelta(hours=1),
    now: datetime | None = None,
    key: ApiKey = KEY,
) -> str:
    """Return a token of a user, a superuser, or both; none of a module's own, which would expire in a long run."""
    assert not is_collecting or ttl >= _LASTS_FOR_ALL_TESTS, "make the token in the test, or a lasting one"
    return mint_token(key, INSTANCE, user, su, ttl, now or datetime.now(UTC))


def forged(user: str, *, secret: str = KEY.secret, algorithm: str = "HS256", **claims: Any) -> str:
    """Return a token of a user with something about it changed."""
    now = int(datetime.now(UTC).timestamp())
    body = {"instance": INSTANCE, "iss": API_ISSUER + KEY.id, "sub": user, "iat": now, "exp": now + 3600, **claims}
    return jwt.encode({key: value for key, value in body.items() if value is not None}, secret, algorithm)


def bearer(text: str) -> Metadata:
    """Return a token as gRPC metadata."""
    return (("authorization", f"Bearer {text}"),)


def user(user_id: str) -> Metadata:
    """Return the metadata of a user's calls."""
    return bearer(token(user_id))


def su(user_id: str | None = None) -> Metadata:
    """Return the metadata of a superuser's calls."""
    return bearer(token(user_id, su=True))


def lasting(user_id: str | None, *, su: bool = False) -> Metadata:
    """Return the metadata of calls for a table that a module makes before its tests run."""
    return bearer(token(user_id, su=su, ttl=_LASTS_FOR_ALL_TESTS))


def service_token(name: str, peer: str) -> str:
    """Return a token with which one service calls another."""
    return mint_service_token(SERVICE_KEY, name, peer, datetime.now(UTC))


def service(name: str, peer: str) -> Metadata:
    """Return the metadata of one service's calls to another."""
    return bearer(service_token(name, peer))
