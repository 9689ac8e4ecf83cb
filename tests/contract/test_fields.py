"""Every field of every request is bounded by the contract."""

from typing import cast

from chatkit.contract.v1 import field_policy_pb2, limit_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.runtime.contract.policies import field_policy, permissions
from tests.contract import descriptors
from tests.contract.bounds import is_well_known, unbounded

FIELDS = list(descriptors.request_fields())
TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
NUMBERS = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64)
# Fields that need no limit, with the reason.
EXEMPT = {
    "chatkit.internal.edges.v1.EndStreamsRequest.secret": "what has not 32 bytes is refused",
    "chatkit.internal.erasure.v1.EraseRequest.room_uid": "what has not 16 bytes is refused",
    "chatkit.internal.erasure.v1.ErasedUser.uid": "what has not 16 bytes is refused",
    "chatkit.internal.erasure.v1.AnonymizedUser.pseudonym_key": "what has not 32 bytes is refused",
    "chatkit.internal.access.v1.UsersOfRoom.room_uid": "what has not 16 bytes is refused",
    "chatkit.internal.access.v1.UsersOfRoom.user_uids": "what has not 16 bytes is refused",
    "chatkit.internal.descriptions.v1.BatchDescribeRoomsRequest.room_uids": "what has not 16 bytes is refused",
    "chatkit.internal.retention.v1.BatchGetRetentionRequest.room_uids": "what has not 16 bytes is refused",
}
# Pages between services, where a user's rooms are all listed for one call.
LARGER_PAGES = {
    "chatkit.internal.access.v1.ListRoomsOfRequest.page_size": limit_pb2.LIMIT_ROOMS_PER_SUBSCRIPTION,
}


_ID, _VISIBLE_ID = field_policy_pb2.FORMAT_IDENTIFIER, field_policy_pb2.FORMAT_VISIBLE_IDENTIFIER
_VISIBLE = {_VISIBLE_ID, field_policy_pb2.FORMAT_VISIBLE, field_policy_pb2.FORMAT_FILE_NAME}
# A role's name is its id.
_NAMED_OTHERWISE = {"UpdateRoleRequest"}


def test_every_text_list_struct_and_mask_has_a_limit() -> None:
    lacking = {field.full_name: unbounded(field, field_policy(field)) for field in FIELDS}
    assert {name: lacks for name, lacks in lacking.items() if lacks and name not in EXEMPT} == {}


def test_a_field_that_is_counted_in_a_sum_is_named_by_that_sum() -> None:
    sums = {
        (field.message_type.full_name, name): field_policy(field).sum.limit
        for field in FIELDS
        if field.message_type is not None
        for name in field_policy(field).sum.fields
    }
    counted = [field for field in FIELDS if field_policy(field).counted_in]
    assert counted
    for field in counted:
        assert field.containing_type is not None
        assert sums[field.containing_type.full_name, field.name] == field_policy(field).counted_in


def test_the_fields_of_a_sum_are_strings_of_the_item() -> None:
    for field in FIELDS:
        for name in field_policy(field).sum.fields:
            assert field.message_type is not None
            assert field.message_type.fields_by_name[name].type == FieldDescriptor.TYPE_STRING


def test_ids_of_public_requests_have_the_form_and_length_of_ids() -> None:
    for field in FIELDS:
        if field.full_name.startswith("chatkit.internal.") or field.type != FieldDescriptor.TYPE_STRING:
            continue
        if field.name == "id" or field.name.endswith(("_id", "_ids")):
            policy = field_policy(field)
            most = limit_pb2.LIMIT_REQUEST_ID_CHARS if field.name == "request_id" else limit_pb2.LIMIT_ID_CHARS
            assert policy.format == (_VISIBLE_ID if field.name == "id" and _is_created(field) else _ID), field.full_name
            assert policy.max_chars == most, field.full_name


def test_a_name_that_is_given_shows_something() -> None:
    names = [field for field in FIELDS if field.name == "name" and _is_created(field)]
    assert len(names) == 6
    for field in names:
        assert field_policy(field).format in _VISIBLE, field.full_name


def _is_created(field: FieldDescriptor) -> bool:
    """Tell whether a field says what something shall be called, and not what it is called."""
    assert field.containing_type is not None
    message = field.containing_type.name
    if message in _NAMED_OTHERWISE:
        return False
    return message.startswith(("Create", "Update") if field.name == "name" else "Create")


def test_a_page_size_has_its_default_and_maximum_and_no_other_field_has() -> None:
    for field in FIELDS:
        policy = field_policy(field)
        assert policy.HasField("page_size") == (field.name == "page_size"), field.full_name
        if field.name == "page_size":
            assert policy.page_size.default_size == limit_pb2.LIMIT_PAGE_SIZE_DEFAULT
            maximum = LARGER_PAGES.get(field.full_name, limit_pb2.LIMIT_PAGE_SIZE)
            assert policy.page_size.maximum == maximum, field.full_name


def test_no_number_may_be_negative() -> None:
    for field in FIELDS:
        if field.type in NUMBERS:
            policy = field_policy(field)
            refuses = policy.not_negative or policy.max_value or policy.min_value or policy.HasField("page_size")
            assert refuses, field.full_name


def test_policies_stand_where_they_can_be_enforced() -> None:
    for field in FIELDS:
        policy = field_policy(field)
        if policy.max_chars or policy.format or policy.counted_in:
            assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
        if policy.max_json_bytes:
            assert is_well_known(field, "Struct") or is_well_known(field, "Value"), field.full_name
        if policy.max_bytes:
            assert field.type == FieldDescriptor.TYPE_BYTES, field.full_name
        if policy.max_items:
            assert field.is_repeated or is_well_known(field, "FieldMask"), field.full_name
        if policy.max_value or policy.min_value or policy.not_negative:
            assert field.type in NUMBERS, field.full_name


def test_the_permission_that_a_field_asks_for_exists_and_its_method_asks_for_one_too() -> None:
    known = {permission.name for permission in permissions()}
    asking = {field.full_name for field in FIELDS if field_policy(field).permission}
    assert asking == {
        "chatkit.rooms.v1.CreateRoomRequest.retention_days",
        "chatkit.sync.v1.SubscribeRequest.user",
        "chatkit.sync.v1.SubscribeRequest.presence",
    }
    for method in descriptors.methods():
        for field in method.request_class.DESCRIPTOR.fields:
            if field.full_name in asking:
                assert field_policy(cast("FieldDescriptor", field)).permission in known
                assert method.policy.permission
                asking.remove(field.full_name)
    # Nothing looks at the fields of what a request's field holds.
    assert not asking
