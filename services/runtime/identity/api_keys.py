"""The secrets of a file of keys, and the tokens that they sign.

With the standard library alone: `./chatkit token` prints a token in less time than the libraries of the other kinds of
keys take to be imported. Services verify with the library (identity.py), whoever has signed.
"""

import base64
import hmac
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

API_ISSUER = "api_keys/"
SAMPLE_PREFIX = "sample-"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret that signs and verifies tokens."""

    algorithm: ClassVar[str] = "HS256"

    id: str
    secret: str = field(repr=False)

    @property
    def material(self) -> Any:
        """What verifies a signature."""
        return self.secret


def mint_token(
    key: ApiKey,
    instance: str,
    subject: str | None,
    superuser: bool,
    ttl: timedelta,
    now: datetime,
) -> str:
    """Sign a customer's token: a JWT with HS256."""
    claims: dict[str, Any] = {
        "instance": instance,
        "iss": API_ISSUER + key.id,
        "iat": int(now.timestamp()),
        "exp": int((now + ttl).timestamp()),
    }
    if subject is not None:
        claims["sub"] = subject
    if superuser:
        claims["su"] = True
    header = {"alg": key.algorithm, "typ": "JWT"}
    signed = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    signature = hmac.digest(key.secret.encode(), signed, "sha256")
    return b".".join((signed, _encoded(signature))).decode()


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read a file of keys: {"keys": [{"id": …, "secret": …}]}; the first one signs."""
    return parse_keys(path, path.read_bytes(), allow_sample_secrets=True, may_be_empty=False)


def refuse_sample(secret: str, name: str, *, is_allowed: bool) -> None:
    """Refuse a secret that everybody can read in an example, unless the deployment allows those.

    Raises a ValueError.
    """
    if secret.startswith(SAMPLE_PREFIX) and not is_allowed:
        raise ValueError(
            f"{name} is a sample secret, which everybody knows: replace it with one of your own"
            " (CHATKIT_ALLOW_SAMPLE_SECRETS=true allows it where nobody else can call)"
        )


def parse_keys(
    path: Path, content: bytes, *, allow_sample_secrets: bool, may_be_empty: bool = True
) -> tuple[ApiKey, ...]:
    """Read the content of a file of keys; a ValueError that shows no secret says what is wrong with it."""
    try:
        keys = tuple(ApiKey(text(key["id"]), text(key["secret"])) for key in listed(content))
    except (KeyError, ValueError):
        raise ValueError(f'{path} is not of the form {{"keys": [{{"id": "…", "secret": "…"}}]}}') from None
    refuse_twins(str(path), (key.id for key in keys))
    for key in keys:
        refuse_sample(key.secret, f"the secret of the key {key.id} in {path}", is_allowed=allow_sample_secrets)
    if not keys and not may_be_empty:
        raise ValueError(f"{path} has no keys")
    return keys


def listed(content: bytes) -> list[dict[str, Any]]:
    """Return the items of {"keys": […]}, each an object; a ValueError without a text when it is something else."""
    try:
        items = json.loads(content)["keys"]
    except (KeyError, TypeError, RecursionError):
        raise ValueError from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError
    return items


def text(value: object) -> str:
    """Return a text that is one; a ValueError without a text when it is empty or none."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def refuse_twins(where: str, ids: Iterable[str]) -> None:
    """Refuse ids of which one stands there twice, with a ValueError that names it."""
    twins = sorted(key_id for key_id, count in Counter(ids).items() if count > 1)
    if twins:
        raise ValueError(f"{where}: the key {twins[0]} stands there twice")
