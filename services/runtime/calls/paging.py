"""Page tokens: opaque to callers, and bound to the caller, the method and the filter that they were made for.

The filter is what the request says, however it is spelled: a default that is left out is the same as one that is said.
A token is made for the filter as it was sent, which is how the release before reads it.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.runtime.contract.errors import InvalidArgument, Violation
from services.runtime.contract.policies import Limits, field_policy
from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.tokens import Caller

# A page ends early rather than grow past what a client takes in one message by default, 4 MiB.
PAGE_BYTES = 1024 * 1024
_MAC_BYTES = 16
_Item = TypeVar("_Item")
# These fields may differ from page to page; all others are the filter.
_FREE_FIELDS = ("page_size", "page_token")

PageKey = str | int
# What a field that is left out is read as, by the field's name; None where nothing is.
Defaults = Mapping[str, str | int | None]


class PageTokens:
    """Makes and reads page tokens with the keys that the replicas of a service share."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self.use(keys)

    def use(self, keys: Sequence[ApiKey]) -> None:
        """Make tokens with the first of these keys from now on, and read those of all of them."""
        self._secrets = [hashlib.sha256(b"page tokens\0" + key.secret.encode()).digest() for key in keys]

    def make(self, caller: Caller, request: Message, after: Sequence[PageKey]) -> str:
        """Return the token of the page that starts after the given key."""
        body = json.dumps(list(after), ensure_ascii=False, separators=(",", ":")).encode()
        mac = _mac(self._secrets[0], caller, _filter(request), body)
        return base64.urlsafe_b64encode(mac + body).decode().rstrip("=")

    def read(self, caller: Caller, request: Message, defaults: Defaults | None = None) -> list[PageKey] | None:
        """Return the key that the request's page starts after; None for the first page. Raises PAGE_TOKEN_INVALID."""
        token: str = request.page_token  # type: ignore[attr-defined]
        if not token:
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid() from None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        expected = (
            _mac(secret, caller, spelled, body)
            for spelled in _spellings(_filter(request), defaults or {})
            for secret in self._secrets
        )
        if not any(hmac.compare_digest(mac, one) for one in expected):
            raise _invalid()
        key: list[PageKey] = json.loads(body)
        return key


def _filter(request: Message) -> Message:
    bound = _copy(request)
    for field in _FREE_FIELDS:
        bound.ClearField(field)
    return bound


def _spellings(bound: Message, defaults: Defaults) -> Sequence[Message]:
    """Return a filter as it is, and then with its defaults said or left out in every other way."""
    spellings = [bound]
    for field, default in defaults.items():
        # A field that is empty, or zero, is one that is left out.
        said = getattr(bound, field)
        if default and said in {default, type(default)()}:
            for spelling in tuple(spellings):
                spellings.append(other := _copy(spelling))
                setattr(other, field, type(default)() if said else default)
    return spellings


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _mac(secret: bytes, caller: Caller, bound: Message, body: bytes) -> bytes:
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for piece in (
        caller.label.encode(),
        bound.DESCRIPTOR.full_name.encode(),
        bound.SerializeToString(deterministic=True),
    ):
        digest.update(len(piece).to_bytes(4, "big") + piece)
    digest.update(body)
    return digest.digest()[:_MAC_BYTES]


def _invalid() -> InvalidArgument:
    description = "the page token is not of this request"
    return InvalidArgument("PAGE_TOKEN_INVALID", description, violations=[Violation("page_token", description)])


def fitting(items: Iterable[_Item], size_of: Callable[[_Item], int]) -> Iterator[_Item]:
    """Yield as many items as fit into a page by their sizes in bytes; the first one always does."""
    size = 0
    for count, item in enumerate(items):
        size += size_of(item)
        if count and size > PAGE_BYTES:
            return
        yield item


def page_size(request: Message, limits: Limits) -> int:
    """Return the size of the request's page by the policy of its field: zero is the default, too much the maximum."""
    policy = field_policy(cast("FieldDescriptor", request.DESCRIPTOR.fields_by_name["page_size"])).page_size
    asked: int = request.page_size  # type: ignore[attr-defined]
    return min(asked or limits[policy.default_size], limits[policy.maximum])
