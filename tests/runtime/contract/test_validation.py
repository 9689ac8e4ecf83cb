"""Requests are checked against the field policies of the contract, and every violation is named."""

from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import field_mask_pb2

from services.runtime.contract.errors import to_status
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from tests.runtime.contract.requests import (
    VALIDATOR,
    a_message,
    a_room,
    a_text,
    a_user,
    exceeds,
    refused,
    refused_fields,
)


def test_an_override_is_what_counts() -> None:
    validator = Validator(Limits({"ROOM_NAME_CHARS": 3}))
    validator.check(a_room(name="abc"))
    assert refused(a_room(name="abcd"), "LIMIT_EXCEEDED", validator).metadata["maximum"] == "3"


def test_a_message_is_measured_by_all_its_parts_together() -> None:
    link = part_pb2.Part(content_type="image/png", url="https://example.com/" + "p" * 1_000)
    room = 5_120 - len(link.content_type) - len(link.url) - len("text/plain")
    VALIDATOR.check(a_message(link, a_text("x" * room)))
    exceeds(a_message(link, a_text("x" * (room + 1))), "MESSAGE_BYTES", 5_120, 5_121, "parts")
    VALIDATOR.check(a_message(*[a_text("")] * 10))
    exceeds(a_message(*[a_text("")] * 11), "PARTS_PER_MESSAGE", 10, 11, "parts")


def test_too_many_of_anything_is_one_violation() -> None:
    exceeds(users_pb2.BatchCreateUsersRequest(requests=[a_user()] * 11), "USERS_PER_BATCH", 10, 11, "requests")
    exceeds(users_pb2.BatchGetUsersRequest(user_ids=["a"] * 251), "USERS_PER_GET", 250, 251, "user_ids")
    exceeds(
        memberships_pb2.AddMembersRequest(room_id="r", user_ids=["a\n"] * 11), "MEMBERS_PER_REQUEST", 10, 11, "user_ids"
    )
    mask = field_mask_pb2.FieldMask(paths=["name"] * 17)
    exceeds(users_pb2.UpdateUserRequest(update_mask=mask), "UPDATE_MASK_PATHS", 16, 17, "update_mask")
    exceeds(a_user(id="x" * 161), "ID_CHARS", 160, 161, "id")
    exceeds(messages_pb2.SubscribeRoomRequest(room_id="r", last=101), "RESUME_MESSAGES", 100, 101, "last")


def test_items_that_the_method_looks_at_one_by_one_are_only_counted() -> None:
    bad = a_message(room_id="a\0")
    VALIDATOR.check(messages_pb2.BatchSendMessagesRequest(requests=[bad] * 100))
    exceeds(messages_pb2.BatchSendMessagesRequest(requests=[bad] * 101), "MESSAGES_PER_BATCH", 100, 101, "requests")
    refused(messages_pb2.BatchSendMessagesRequest(), "FIELD_REQUIRED")


def test_what_is_required_must_be_there_and_not_empty() -> None:
    assert refused_fields(users_pb2.CreateUserRequest()) == ["id", "name"]
    assert refused_fields(messages_pb2.SendMessageRequest()) == ["room_id", "parts", "request_id"]
    assert refused_fields(users_pb2.BatchGetUsersRequest(user_ids=["a", "", "b", ""])) == ["user_ids[1]", "user_ids[3]"]
    assert refused_fields(messages_pb2.GetMessageRequest(room_id="r")) == ["seq"]
    assert refused(a_user(id=""), "FIELD_REQUIRED").metadata == {"field": "id"}


def test_a_required_number_that_is_optional_must_be_said_and_may_be_zero() -> None:
    assert refused_fields(read_states_pb2.SetReadCursorRequest(room_id="r")) == ["seq"]
    VALIDATOR.check(read_states_pb2.SetReadCursorRequest(room_id="r", seq=0))
    assert refused_fields(read_states_pb2.SetReadCursorRequest(room_id="r", seq=-1)) == ["seq"]


def test_a_room_is_public_only_when_somebody_says_so() -> None:
    error = refused(a_room(visibility=0), "FIELD_REQUIRED")
    assert error.metadata == {"field": "visibility"}


def test_one_field_of_a_required_oneof_must_be_set_and_may_be_empty() -> None:
    VALIDATOR.check(a_message(a_text("")))
    assert refused_fields(a_message(part_pb2.Part(content_type="text/plain"))) == ["parts[0].value"]
    # An empty URL leads nowhere, so it is not one.
    assert refused_fields(a_message(part_pb2.Part(content_type="text/plain", url=""))) == ["parts[0].url"]
    VALIDATOR.check(messages_pb2.SubscribeRoomRequest(room_id="r"))
    VALIDATOR.check(messages_pb2.SubscribeRoomRequest(room_id="r", last=0))


def test_every_violation_is_named_by_its_path_and_the_first_one_is_the_reason() -> None:
    batch = users_pb2.BatchCreateUsersRequest(
        requests=[a_user(), a_user(id="a\n", name="x" * 161), users_pb2.CreateUserRequest(id="b", avatar_url="ftp://x")]
    )
    error = refused(batch, "FIELD_INVALID")
    assert [violation.field for violation in error.violations] == [
        "requests[1].id",
        "requests[1].name",
        "requests[2].name",
        "requests[2].avatar_url",
    ]
    assert error.metadata == {"field": "requests[1].id"}
    assert [violation.field for violation in error.quota] == ["USER_NAME_CHARS"]
    parts = [a_text("x"), part_pb2.Part(content_type="plain", content="\0")]
    assert refused_fields(a_message(*parts)) == ["parts[1].content_type", "parts[1].content"]


def test_of_very_many_violations_the_first_twenty_are_told_because_details_travel_in_a_header() -> None:
    error = refused(users_pb2.BatchGetUsersRequest(user_ids=["x" * 161] * 250), "LIMIT_EXCEEDED")
    assert [violation.field for violation in error.violations] == [f"user_ids[{number}]" for number in range(20)]
    assert to_status(error).ByteSize() < 4_096
