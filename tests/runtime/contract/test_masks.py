"""Update masks: what a request changes."""

from typing import Any

import pytest
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from google.protobuf import field_mask_pb2, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.contract import masks
from services.runtime.contract.errors import InvalidArgument

UPDATABLE = ("name", "visibility", "custom_data", "push_notification_title_override")
REQUIRED = ("name", "visibility")
STRUCT = struct_pb2.Struct()
STRUCT["a"] = 1
VALUES: dict[str, Any] = {
    "name": "n",
    "visibility": 2,
    "custom_data": STRUCT,
    "push_notification_title_override": "",
}
PLAIN: dict[str, Any] = {**VALUES, "custom_data": {"a": 1}}


def _changes(*paths: str, **fields: Any) -> dict[str, Any]:
    request = rooms_pb2.UpdateRoomRequest(room_id="r", update_mask=field_mask_pb2.FieldMask(paths=paths), **fields)
    return masks.changes(request, UPDATABLE, REQUIRED)


def _refused(reason: str, field: str, *paths: str, **fields: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _changes(*paths, **fields)
    assert caught.value.reason == reason
    assert caught.value.metadata == {"field": field}
    assert [violation.field for violation in caught.value.violations] == [field]


def test_without_a_mask_what_is_not_empty_changes() -> None:
    assert _changes() == {}
    assert _changes(name="n") == {"name": "n"}
    assert _changes(**VALUES) == PLAIN
    assert _changes(custom_data=struct_pb2.Struct()) == {"custom_data": {}}


def test_with_a_mask_only_what_it_names_changes() -> None:
    assert _changes("name", **VALUES) == {"name": "n"}
    assert _changes("custom_data", **VALUES) == {"custom_data": {"a": 1}}
    assert _changes("name", "name", **VALUES) == {"name": "n"}


def test_a_masked_field_that_is_empty_is_cleared_unless_it_is_required() -> None:
    assert _changes("custom_data") == {"custom_data": None}
    _refused("FIELD_REQUIRED", "name", "custom_data", "name")
    _refused("FIELD_REQUIRED", "visibility", "visibility", name="n")


def test_a_string_that_can_be_set_and_empty_is_cleared_only_when_it_is_masked_and_not_set() -> None:
    title = "push_notification_title_override"
    assert _changes(push_notification_title_override="") == {title: ""}
    assert _changes(title, push_notification_title_override="") == {title: ""}
    assert _changes(title) == {title: None}
    assert _changes("custom_data", push_notification_title_override="t") == {"custom_data": None}


def test_a_path_that_is_no_field_to_change_is_named_with_its_place() -> None:
    for path in ("", "*", "room_id", "creator_id", "etag", "Name", "name.x", "custom_data.a", "a\0b"):
        _refused("FIELD_INVALID", "update_mask.paths[1]", "name", path, **VALUES)


@given(
    mask=st.lists(st.sampled_from(UPDATABLE), max_size=5),
    given_fields=st.sets(st.sampled_from(UPDATABLE)),
)
def test_a_mask_does_what_the_contract_says(mask: list[str], given_fields: set[str]) -> None:
    fields = {name: VALUES[name] for name in given_fields}
    if any(name in REQUIRED and name not in given_fields for name in mask):
        with pytest.raises(InvalidArgument):
            _changes(*mask, **fields)
    else:
        expected = {name: PLAIN[name] if name in given_fields else None for name in (mask or given_fields)}
        assert _changes(*mask, **fields) == expected
