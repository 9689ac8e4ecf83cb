"""Who a caller is: what a signed token says, never what a header says.

Customers' tokens are Chatkit's own (`iss: api_keys/<key id>`, `instance`, `sub`, `su`, `iat`, `exp`). Services sign
tokens for one another with keys of their own; neither kind of key can mint the other kind of token.
"""

import hashlib
import math
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from chatkit.contract.v1 import limit_pb2

from services.runtime.clock import Clock
from services.runtime.contract.errors import Unauthenticated
from services.runtime.contract.policies import Limits
from services.runtime.identity import token_json
from services.runtime.identity.api_keys import API_ISSUER, ApiKey
from services.runtime.identity.keys import Key
from services.runtime.identity.token_rules import CLOCK_LEEWAY, subject_must_be
from services.runtime.ids import UserId

SERVICE_ISSUER = "services/"
SERVICE_TOKEN_LIFETIME = timedelta(seconds=60)
_CACHED_TOKENS = 10_000
# A wall clock that differs by so much from what it was is one that was set, and not one that drifts.
_STEP_SECONDS = 1.0
# What is further ahead is no difference of clocks.
_MOST_TOLD_SECONDS = 86_400
# Where a token is not valid yet, because a clock is wrong: another process may take it.
_ELSEWHERE = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user (`subject`), a superuser with or without a subject, or a service of the suite."""

    subject: UserId | None
    superuser: bool
    service: str | None
    expire_time: datetime
    # When a customer's token was signed, in seconds since 1970; of others nobody asks.
    token_time: float = field(default=math.inf, compare=False)
    # The key that signed for them: they are nobody any more when it is revoked.
    key: Key | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """Name the caller, to bind page tokens and logs to them."""
        if self.service is not None:
            return f"service:{self.service}"
        return f"{'superuser' if self.superuser else 'user'}:{self.subject or ''}"


class TokenVerifier:
    """Verifies tokens and remembers those that it has verified, by hash and in bounded number."""

    def __init__(
        self,
        *,
        keys: Sequence[Key],
        service_keys: Sequence[ApiKey],
        instance: str,
        service: str,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._instance = instance
        self._service = service
        self._subject_chars = limits[limit_pb2.LIMIT_ID_CHARS]
        self._token_chars = limits[limit_pb2.LIMIT_TOKEN_CHARS]
        self._clock = clock
        # With the time from which each is valid, because it may have been looked at by a clock that was ahead.
        self._cache: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self.use(keys, service_keys)

    def use(self, keys: Sequence[Key], service_keys: Sequence[ApiKey]) -> None:
        """Verify with these keys from now on, and forget what was verified with others."""
        self._keys: dict[str, Key] = {key.id: key for key in keys}
        self._service_keys: dict[str, Key] = {key.id: key for key in service_keys}
        self._cache.clear()

    def find_key(self, key_id: str) -> Key | None:
        """Return a customer's key by its id, if it is in force."""
        return self._keys.get(key_id)

    def still_knows(self, caller: Caller) -> bool:
        """Tell whether the key that signed for the caller is in force."""
        keys = self._keys if caller.service is None else self._service_keys
        return caller.key is not None and keys.get(caller.key.id) == caller.key

    def verify(self, token: str) -> Caller:
        """Return who signed in with the token, or raise Unauthenticated."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._cache.get(digest)
        if known is None:
            known = self._decode(token)
            self._cache[digest] = known
            if len(self._cache) > _CACHED_TOKENS:
                self._cache.popitem(last=False)
        caller, start = known
        now = self._clock.now()
        _check_start(start, now)
        if caller.expire_time <= now:
            self._cache.pop(digest, None)
            ago = int((now - caller.expire_time).total_seconds())
            raise Unauthenticated("TOKEN_EXPIRED", f"the token has expired, {ago} s ago by the clock here")
        return caller

    def _decode(self, token: str) -> tuple[Caller, float]:
        if len(token) > self._token_chars:
            raise _invalid("the token is too long")
        try:
            header, claims = token_json.read(token)
        except token_json.Unreadable as error:
            raise _invalid(f"the token can't be read: {error}" if error.args else "the token can't be read") from None
        issuer = claims.get("iss")
        if not isinstance(issuer, str):
            raise _invalid("the token has no issuer")
        if issuer.startswith(SERVICE_ISSUER):
            return self._service_caller(token, issuer, header.get("kid"))
        return self._customer(token, issuer)

    def _customer(self, token: str, issuer: str) -> tuple[Caller, float]:
        key = _known(self._keys.get(issuer.removeprefix(API_ISSUER)) if issuer.startswith(API_ISSUER) else None)
        claims = self._claims(token, key)
        if claims.get("instance") != self._instance:
            raise _invalid("the token is of another instance")
        subject = claims.get("sub")
        if "sub" in claims and not _is_subject(subject, self._subject_chars):
            raise _invalid(subject_must_be(self._subject_chars))
        if not _is_audience(claims.get("aud", [])):
            raise _invalid("the token's aud is no text and no list of texts")
        superuser = claims.get("su", False)
        if not isinstance(superuser, bool):
            raise _invalid("the token's su is not a boolean")
        caller = Caller(
            subject=subject,
            superuser=superuser,
            service=None,
            expire_time=_expire_time(claims),
            token_time=float(claims["iat"]),
            key=key,
        )
        return caller, _start(claims)

    def _service_caller(self, token: str, issuer: str, key_id: object) -> tuple[Caller, float]:
        key = _known(self._service_keys.get(key_id) if isinstance(key_id, str) else None)
        claims = self._claims(token, key, audience=self._service)
        expire_time = _expire_time(claims)
        if expire_time - self._clock.now() > SERVICE_TOKEN_LIFETIME + CLOCK_LEEWAY:
            raise _invalid("the service token lives too long")
        caller = Caller(
            subject=None,
            superuser=False,
            service=issuer.removeprefix(SERVICE_ISSUER),
            expire_time=expire_time,
            key=key,
        )
        return caller, _start(claims)

    def _claims(self, token: str, key: Key, audience: str | None = None) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.material,
                # The key says how it signs, and never the token.
                algorithms=[key.algorithm],
                audience=audience,
                options={
                    "require": ["exp", "iat"],
                    # The times are compared below, by the injected clock.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    # What it must be is said below.
                    "verify_sub": False,
                    "verify_aud": audience is not None,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"the token has no {error.claim}") from None
        except (jwt.PyJWTError, ValueError):
            raise _invalid("the token's signature or form is wrong") from None
        # Before what else is wrong with the token.
        _check_start(_start(claims), self._clock.now())
        return claims


def _known(key: Key | None) -> Key:
    if key is None:
        raise _invalid("the token is signed with an unknown key")
    return key


def _start(claims: dict[str, Any]) -> float:
    """Return the time from which a token is valid."""
    latest = 0.0
    for claim in ("iat", "nbf"):
        value = claims.get(claim, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise _invalid(f"the token's {claim} is no time: seconds since 1970")
        latest = max(latest, value)
    return latest


def _check_start(start: float, now: datetime) -> None:
    if start > now.timestamp() + CLOCK_LEEWAY.total_seconds():
        ahead = start - now.timestamp()
        told = f"{ahead:.0f} s" if ahead < _MOST_TOLD_SECONDS else "far"
        raise Unauthenticated(
            "TOKEN_NOT_YET_VALID",
            f"the token's iat or nbf is {told} ahead of the clock here",
            retry_after=_ELSEWHERE,
        )


def _expire_time(claims: dict[str, Any]) -> datetime:
    value = claims["exp"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise _invalid("the token's exp is no time: seconds since 1970")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise _invalid("the token's exp is no time: seconds since 1970") from None


def _is_subject(value: object, most: int) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= most
        and not any(unicodedata.category(char) in {"Cc", "Cs"} for char in value)
    )


def _is_audience(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated("TOKEN_INVALID", message)


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    at: float
    # What the wall clock was ahead of the monotonic one, so that a step of it is noticed.
    offset: float


class ServiceTokens:
    """Mints this service's tokens for its peers, one per peer, renewed at half its life.

    The half is by the monotonic clock: a token of a time at which the wall clock was wrong would else be kept until
    then. And a token is minted anew when the wall clock was set since, and when a peer has refused it.
    """

    def __init__(self, service: str, key: ApiKey, clock: Clock) -> None:
        self._service = service
        self._key = key
        self._clock = clock
        self._minted: dict[str, _Minted] = {}

    def use(self, key: ApiKey) -> None:
        """Sign with this key from now on."""
        self._key = key
        self._minted.clear()

    def forget(self, peer: str) -> None:
        """Mint anew for a peer, because it has refused what it was shown."""
        self._minted.pop(peer, None)

    def for_peer(self, peer: str) -> str:
        """Return a token that the peer accepts."""
        now, moment = self._clock.now(), self._clock.monotonic()
        offset = now.timestamp() - moment
        minted = self._minted.get(peer)
        if (
            minted is None
            or moment - minted.at >= SERVICE_TOKEN_LIFETIME.total_seconds() / 2
            or abs(offset - minted.offset) > _STEP_SECONDS
        ):
            minted = _Minted(mint_service_token(self._key, self._service, peer, now), moment, offset)
            self._minted[peer] = minted
        return minted.token


def mint_service_token(key: ApiKey, service: str, peer: str, now: datetime) -> str:
    """Sign a token with which one service calls another."""
    claims = {
        "iss": SERVICE_ISSUER + service,
        "aud": peer,
        "iat": int(now.timestamp()),
        "exp": int((now + SERVICE_TOKEN_LIFETIME).timestamp()),
    }
    return jwt.encode(claims, key.secret, algorithm=key.algorithm, headers={"kid": key.id})
