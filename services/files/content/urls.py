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
# With this the content is offered for saving. It is not signed: it takes nothing away of what keeps a page safe.
ATTACHMENT = {"attachment": "true"}


class Purpose(StrEnum):
    """What a URL is for; one that is for reading can't write."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Window:
    """For how long a URL works that is made now. What is made within one step has the same, and so the same URL."""

    begin_time: datetime
    expire_time: datetime
    # How much of it is left.
    left: timedelta

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.expire_time - self.begin_time


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
        self._lifetime = lifetime

    def use(self, keys: Sequence[ApiKey]) -> None:
        """Sign with the first of these keys from now on, and take what any of them has signed."""
        self._secrets = [hashlib.sha256(b"file urls\0" + key.secret.encode()).digest() for key in keys]

    def window(self) -> Window:
        """Return the time for which URLs made now work: the lifetime, and a little more so that they stay the same."""
        lifetime = int(self._lifetime.total_seconds())
        step = max(1, lifetime // _STEPS)
        now = self._clock.now()
        begins = int(now.timestamp()) // step * step
        expire_time = datetime.fromtimestamp(begins + step + lifetime, UTC)
        return Window(datetime.fromtimestamp(begins, UTC), expire_time, expire_time - now)

    def make(self, purpose: Purpose, file: FileUid, window: Window, *, attachment: bool = False) -> SignedUrl:
        """Return a URL that works for that time; with `attachment` the content is offered for saving."""
        expires = int(window.expire_time.timestamp())
        signature = self._sign(self._secrets[0], purpose, file, expires)
        query = urlencode({EXPIRES: expires, SIGNATURE: signature, **(ATTACHMENT if attachment else {})})
        return SignedUrl(f"{self._public_url}{PATH}{file}?{query}", window.expire_time)

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
