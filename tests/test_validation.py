"""Requests are checked against the contract's field policies."""

import pytest
from chatkit.messages.v1 import messages_service_pb2, part_pb2
from chatkit.users.v1 import users_service_pb2

from services.runtime.contract import Limits
from services.runtime.errors import InvalidArgument
from services.runtime.validation import Validator


def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_is_refused() -> None:
    validator = Validator(Limits())
    request = messages_service_pb2.SendMessageRequest(room_id="r", request_id="1")
    request.parts.append(part_pb2.Part(content_type="text/plain", content="x" * 5110))
    validator.check(request)
    request.parts[0].content += "x"
    with pytest.raises(InvalidArgument) as refused:
        validator.check(request)
    assert refused.value.metadata["limit"] == "MESSAGE_BYTES"
    assert refused.value.metadata["actual"] == "5121"


@pytest.mark.parametrize("user_id", ["a\nb", "a\0b", "x" * 161, ""])
def test_ids_that_are_no_ids_are_refused(user_id: str) -> None:
    with pytest.raises(InvalidArgument):
        Validator(Limits()).check(users_service_pb2.CreateUserRequest(id=user_id, name="n"))


@pytest.mark.parametrize("user_id", ["a b", "a/b", "👨‍👩‍👧‍👦", "x" * 160])
def test_ids_of_any_unicode_pass(user_id: str) -> None:
    Validator(Limits()).check(users_service_pb2.CreateUserRequest(id=user_id, name="n"))
