"""Signed URLs of our own listener: whoever has one may read, or write, one file's content until it expires.

They are signed with a key that is derived from the services' keys, so all replicas take them, and removing the key from
its file revokes them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from services.files.model import FileUid
from services.runtime.clock import Clock
from services.runtime.contract.errors import PermissionDenied
from services.runtime.identity.api_keys import ApiKey

PATH = "/files/"
_SECONDS = re.compile(r"[1-9][0-9]{0,19}")
# A URL is the same for this part of its lifetime: for five minutes of an hour.
_STEPS = 12
EXPIRES, SIGNATURE = "expires", "signature"


class Purpose(StrEnum):
    """What a URL is for; one that is for reading can't write."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL, and when it stops working."""

    url: str
    expire_time: datetime


class FileUrls:
    """Makes and checks URLs."""

    def __init__(self, public_url: str, instance: str, lifetime: timedelta, clock: Clock) -> None:
        self._public_url = public_url.rstrip("/")
        self._instance = instance
        self._clock = clock
        self._secrets: list[bytes] = []
        self.lifetime = lifetime

    def use(self, keys: Sequence[ApiKey]) -> None:
        """Sign with the first of these keys from now on, and take what any of them has signed."""
        self._secrets = [hashlib.sha256(b"file urls\0" + key.secret.encode()).digest() for key in keys]

    def make(self, purpose: Purpose, file: FileUid) -> SignedUrl:
        """Return a URL that works for the lifetime and a little more; for so long it stays the same, for caches."""
        step = max(1, int(self.lifetime.total_seconds()) // _STEPS)
        now = int(self._clock.now().timestamp())
        expires = (now // step + 1) * step + int(self.lifetime.total_seconds())
        signature = self._sign(self._secrets[0], purpose, file, expires)
        query = urlencode({EXPIRES: expires, SIGNATURE: signature})
        return SignedUrl(f"{self._public_url}{PATH}{file}?{query}", datetime.fromtimestamp(expires, UTC))

    def check(self, purpose: Purpose, file: FileUid, expires: str, signature: str) -> None:
        """Raise FILE_URL_INVALID or FILE_URL_EXPIRED unless a URL with these pieces is ours and holds."""
        # One spelling only: int() would take many, and raise at thousands of digits.
        told = int(expires) if _SECONDS.fullmatch(expires) else None
        signed = signature.encode("ascii", "replace")
        if told is None or not any(
            hmac.compare_digest(signed, self._sign(secret, purpose, file, told).encode()) for secret in self._secrets
        ):
            raise PermissionDenied("FILE_URL_INVALID", "the URL was altered, or is for something else")
        if told <= self._clock.now().timestamp():
            time = datetime.fromtimestamp(told, UTC).isoformat()
            raise PermissionDenied(
                "FILE_URL_EXPIRED", "the URL has expired: ask for a new one", metadata={"expire_time": time}
            )

    def _sign(self, secret: bytes, purpose: Purpose, file: FileUid, expires: int) -> str:
        signed = "\0".join((purpose, self._instance, str(file), str(expires))).encode()
        return base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).decode().rstrip("=")
