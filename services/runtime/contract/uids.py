"""Uids as messages between services hold them: 16 bytes."""

from uuid import UUID

from services.runtime.contract.errors import invalid_field

_UID_BYTES = 16


def uid_of(value: bytes, path: str) -> UUID:
    """Return the uid that a field of a request holds, or raise FIELD_INVALID."""
    if len(value) != _UID_BYTES:
        raise invalid_field("FIELD_INVALID", path, f"must have {_UID_BYTES} bytes")
    return UUID(bytes=value)
