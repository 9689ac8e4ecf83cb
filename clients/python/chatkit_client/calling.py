"""What the generated methods of the services need: somebody who calls, and values in the form that requests have."""

import uuid
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Any, Protocol

from google.protobuf import field_mask_pb2, json_format, struct_pb2
from google.protobuf.message import Message


class Caller(Protocol):
    """Calls the suite as one user."""

    async def call(self, request: Message, *, deadline: float | None = None) -> Any:
        """Return the response to a request; raises ChatkitError."""

    def stream(self, request: Message) -> AsyncGenerator[Any, None]:
        """Yield the responses to a request; raises ChatkitError."""


class SyncCaller(Protocol):
    """The same, blocking."""

    def call(self, request: Message, *, deadline: float | None = None) -> Any:
        """Return the response to a request; raises ChatkitError."""

    def stream(self, request: Message) -> Generator[Any, None, None]:
        """Yield the responses to a request; raises ChatkitError."""


def new_id() -> str:
    """Return an id for a call that has none, which all its attempts share."""
    return uuid.uuid4().hex


def as_mask(fields: Iterable[str] | field_mask_pb2.FieldMask | None) -> field_mask_pb2.FieldMask | None:
    """Return the mask of fields by their names; raises TypeError for a text, which is one name and not several."""
    if fields is None or isinstance(fields, field_mask_pb2.FieldMask):
        return fields
    if isinstance(fields, str):
        raise TypeError("a mask is a list of names")
    return field_mask_pb2.FieldMask(paths=fields)


def as_value(value: Any) -> struct_pb2.Value | None:
    """Return anything that JSON can say as a field's value; None leaves the field unset."""
    if value is None or isinstance(value, struct_pb2.Value):
        return value
    return json_format.ParseDict(value, struct_pb2.Value())
