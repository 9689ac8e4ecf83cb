"""Telling what a service has of a user: records, read page by page and sent in frames.

Between two pages nothing is open in the database, so a reader may take as long as it likes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

from chatkit.users.v1 import exported_record_pb2 as pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.erasure.model import ErasedUser
from services.runtime.streaming.event_queue import FRAME_BYTES

# What is around a record in its frame: a tag, and a length of at most four bytes.
_AROUND_BYTES = 5
# So large that a piece of a file, with what names it, is just about one frame.
PIECE_BYTES = FRAME_BYTES - 1024

Records = AsyncGenerator[pb2.ExportedRecord, None]
# Yields everything that a service has of a user.
Export = Callable[[ErasedUser], Records]
_Row = TypeVar("_Row")
_Key = TypeVar("_Key")


def fields_of_message(message: Message) -> dict[str, Any]:
    """Return a message's fields by the contract's names, zeros included, as JSON has them."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def record(service: str, kind: str, fields: Mapping[str, Any], content: bytes = b"") -> pb2.ExportedRecord:
    """Return a record; times are given as they are, and fields that are None are left out."""
    made = pb2.ExportedRecord(service=service, kind=kind, content=content)
    made.record.update({name: _shown(value) for name, value in fields.items() if value is not None})
    return made


async def frames(records: Records) -> AsyncGenerator[Sequence[pb2.ExportedRecord], None]:
    """Put records together, up to FRAME_BYTES; a larger one goes alone. Closing this closes `records`.

    What came before an error of `records` goes before it.
    """
    frame: list[pb2.ExportedRecord] = []
    size = 0
    failure: ChatkitError | None = None
    async with aclosing(records):
        try:
            async for one in records:
                more = one.ByteSize() + _AROUND_BYTES
                if frame and size + more > FRAME_BYTES:
                    yield frame
                    frame, size = [], 0
                frame.append(one)
                size += more
        except ChatkitError as error:
            failure = error
    if frame:
        yield frame
    if failure is not None:
        raise failure


async def paged(
    read: Callable[[_Key], Awaitable[Sequence[_Row]]], first: _Key, key_of: Callable[[_Row], _Key]
) -> AsyncIterator[_Row]:
    """Yield the rows of page after page; `read` returns the one after a key, and an empty one is the end."""
    after = first
    while page := await read(after):
        for row in page:
            yield row
        after = key_of(page[-1])


def _shown(value: Any) -> Any:
    # Of what a record holds only times have a form of their own in JSON.
    return timestamp(value).ToJsonString() if isinstance(value, datetime) else value
