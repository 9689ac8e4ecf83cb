"""How tests read exports: whole, and of one service alone."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import grpc
from chatkit.internal.erasure.v1 import erasure_service_pb2 as erasure_pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.users.v1 import exported_record_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import json_format

from tests.support.suite import Suite
from tests.support.tokens import service, su

Record = exported_record_pb2.ExportedRecord
# What a frame may have, and what a default client of gRPC's adds to nothing.
FRAME_BYTES = 64 * 1024


def exporting(suite: Suite, user_id: str = "alice") -> "grpc.aio.UnaryStreamCall[Any, users_pb2.ExportUserResponse]":
    """Begin an export of a user."""
    call: grpc.aio.UnaryStreamCall[Any, users_pb2.ExportUserResponse] = suite.users.ExportUser(
        users_pb2.ExportUserRequest(user_id=user_id), metadata=su()
    )
    return call


async def exported(suite: Suite, user_id: str = "alice") -> list[Record]:
    """Return all records of a user's export."""
    return await _read(exporting(suite, user_id))


async def exported_by(suite: Suite, name: str, uid: UUID, user_id: str = "alice") -> list[Record]:
    """Return what one service exports of a user."""
    request = erasure_pb2.ExportRequest(user=erasure_pb2.ErasedUser(uid=uid.bytes, id=user_id))
    return await _read(ErasureServiceStub(suite.channel(name)).Export(request, metadata=service("users", name)))


def of_kind(records: Sequence[Record], kind: str) -> list[dict[str, Any]]:
    """Return the fields of the records of one kind."""
    return [json_format.MessageToDict(one.record) for one in records if one.kind == kind]


async def _read(call: Any) -> list[Record]:
    records: list[Record] = []
    async for frame in call:
        assert frame.ByteSize() <= FRAME_BYTES or len(frame.records) == 1
        records += frame.records
    return records
