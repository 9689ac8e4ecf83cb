"""Requests that fit, and what a validator says of those that do not."""

from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf.message import Message

from services.runtime.contract.errors import InvalidArgument
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator

VALIDATOR = Validator(Limits())


def refused(request: Message, reason: str, validator: Validator = VALIDATOR) -> InvalidArgument:
    """Return the error with this reason that a request is refused with."""
    with pytest.raises(InvalidArgument) as caught:
        validator.check(request)
    assert caught.value.reason == reason, caught.value.message
    return caught.value


def exceeds(request: Message, limit: str, maximum: int, actual: int, field: str) -> None:
    """Hold that a request is refused for one field that exceeds a limit."""
    error = refused(request, "LIMIT_EXCEEDED")
    assert error.metadata == {"limit": limit, "maximum": str(maximum), "actual": str(actual), "field": field}
    assert [violation.field for violation in error.violations] == [field]
    assert [violation.field for violation in error.quota] == [limit]


def refused_fields(request: Message) -> list[str]:
    """Return the paths of all that is wrong with a request."""
    with pytest.raises(InvalidArgument) as caught:
        VALIDATOR.check(request)
    return [violation.field for violation in caught.value.violations]


def a_user(**fields: Any) -> users_pb2.CreateUserRequest:
    """Make a user that fits but for these fields."""
    return users_pb2.CreateUserRequest(**{"id": "a", "name": "n", **fields})


def a_room(**fields: Any) -> rooms_pb2.CreateRoomRequest:
    """Make a room that fits but for these fields."""
    return rooms_pb2.CreateRoomRequest(**{"id": "a", "name": "n", "visibility": "VISIBILITY_PUBLIC", **fields})


def a_message(*parts: part_pb2.Part, **fields: Any) -> messages_pb2.SendMessageRequest:
    """Make a message that fits but for these fields."""
    return messages_pb2.SendMessageRequest(**{"room_id": "r", "request_id": "1", "parts": parts, **fields})


def a_text(content: str) -> part_pb2.Part:
    """Make a part of text."""
    return part_pb2.Part(content_type="text/plain", content=content)
