"""Values by the kinds of their fields: how each is measured, and what is refused."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, position_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.contract import json_values
from services.runtime.contract.errors import InvalidArgument
from services.runtime.contract.formats import is_visible
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

json_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=10,
)
FAMILY = "👨‍👩‍👧‍👦"  # seven code points, one picture


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def _file(**fields: Any) -> files_pb2.CreateFileRequest:
    named = {"room_id": "r", "content_type": "image/png", "size_bytes": 1, "request_id": "1"}
    return files_pb2.CreateFileRequest(**{**named, **fields})


def test_a_name_is_measured_in_code_points() -> None:
    for character in ("x", "é", "語", "🫎"):
        VALIDATOR.check(a_room(name=character * 60))
        exceeds(a_room(name=character * 61), "ROOM_NAME_CHARS", 60, 61, "name")
    assert len(FAMILY) == 7
    VALIDATOR.check(a_room(name=FAMILY * 8 + "four"))
    exceeds(a_room(name=FAMILY * 8 + "fives"), "ROOM_NAME_CHARS", 60, 61, "name")


@given(st.text(min_size=50, max_size=70))
def test_a_name_passes_if_and_only_if_it_fits_and_shows_and_has_no_nul(name: str) -> None:
    fits = len(name) <= 60 and "\0" not in name and is_visible(name)
    try:
        VALIDATOR.check(a_room(name=name))
    except InvalidArgument:
        assert not fits
    else:
        assert fits


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_number_with_a_minimum_is_refused_below_it_and_only_there(days: int) -> None:
    if days >= 7:
        VALIDATOR.check(a_room(retention_days=days))
        return
    error = refused(a_room(retention_days=days), "BELOW_MINIMUM")
    assert error.metadata == {
        "limit": "RETENTION_DAYS",
        "minimum": "7",
        "actual": str(days),
        "field": "retention_days",
    }
    assert [violation.field for violation in error.quota] == ["RETENTION_DAYS"]


@pytest.mark.parametrize(
    "id_", ["a b", "a/b", "../..", "%00", "møøse 🫎", FAMILY, "\u2028\u200bx\ufeff", "x" * 160, "🫎" * 160]
)
def test_any_unicode_is_an_id(id_: str) -> None:
    VALIDATOR.check(a_user(id=id_))
    VALIDATOR.check(a_room(id=id_, user_ids=[id_]))
    VALIDATOR.check(a_message(a_text("x"), room_id=id_, sender_id=id_))


@pytest.mark.parametrize("id_", ["a\nb", "\t", "a\rb", "\x1b[0m", "a\x7f", "a\x85b", "a\0b"])
def test_control_characters_are_in_no_id(id_: str) -> None:
    assert refused_fields(a_user(id=id_)) == ["id"]
    assert refused_fields(users_pb2.BatchGetUsersRequest(user_ids=["a", id_])) == ["user_ids[1]"]
    assert refused_fields(a_message(a_text("x"), request_id=id_)) == ["request_id"]
    assert refused(a_user(id=id_), "FIELD_INVALID").metadata == {"field": "id"}


def test_a_name_may_have_control_characters() -> None:
    VALIDATOR.check(a_room(name="two\nlines"))
    VALIDATOR.check(a_message(a_text("two\nlines\ttabs \x1b[0m")))


_INVISIBLE = [
    " ",
    "\u00a0\u3000",
    "\u2028\u200b\ufeff",
    "\u200d\u2060\u00ad",
    "\u202e",
    "\ufe0f\u034f",
    "\u3164\u115f\u1160\uffa0",
    "\u2800",
    "\ufffc",
    "\U0001d159",
    "\U00013441\U00013442",
    "\U0001343f\U00013440\U00013455",
    "\ufffe\uffff\ufdd0\ufdef",
    "\U0001fffe\U0010ffff",
    "\U000e0041\U000e007f",
    "\u0301",
]


@pytest.mark.parametrize("text", _INVISIBLE)
def test_nothing_is_created_with_an_id_or_a_name_that_does_not_show(text: str) -> None:
    role = {"scope": "ROLE_SCOPE_GLOBAL"}
    for request, field in (
        (a_user(id=text), "id"),
        (a_user(name=text), "name"),
        (users_pb2.UpdateUserRequest(user_id="a", name=text), "name"),
        (a_room(id=text), "id"),
        (a_room(name=text), "name"),
        (rooms_pb2.UpdateRoomRequest(room_id="a", name=text), "name"),
        (roles_pb2.CreateRoleRequest(name=text, **role), "name"),
    ):
        assert refused(request, "FIELD_INVALID").metadata == {"field": field}
    VALIDATOR.check(a_user(id=text + "x", name="x" + text))
    # What was created before can be read and left.
    VALIDATOR.check(users_pb2.GetUserRequest(user_id=text))
    VALIDATOR.check(memberships_pb2.LeaveRoomRequest(room_id=text))


@pytest.mark.parametrize(
    "text", ["🫎", FAMILY, "\u0628", "한", "\u0915\u094d", "1\ufe0f\u20e3", "\ue000", "!", "\ufdf0", "\U00013443"]
)
def test_pictures_and_letters_of_every_script_show(text: str) -> None:
    VALIDATOR.check(a_user(id=text, name=text))


@pytest.mark.parametrize(
    "name", [*_INVISIBLE, "a\nb", "a\u2028b", *(f"a{c}gnp.exe" for c in "\u202a\u202e\u2066\u2069")]
)
def test_the_name_of_a_file_shows_and_is_what_it_shows(name: str) -> None:
    assert refused(_file(name=name), "FIELD_INVALID").metadata == {"field": "name"}


@pytest.mark.parametrize("name", ["", "a b.png", "../x", "שלום\u200f.txt", FAMILY, "\u3164x", "日本語"])
def test_the_name_of_a_file_may_be_of_any_script(name: str) -> None:
    VALIDATOR.check(_file(name=name))


@pytest.mark.parametrize(
    "content_type",
    [
        "a/b",
        "text/plain;charset=utf-8",
        "text/plain ; charset=utf-8; format=flowed",
        'image/svg+xml; name="a b (1).svg"',
        'multipart/mixed; boundary=""',
    ],
)
def test_a_media_type_may_have_parameters(content_type: str) -> None:
    VALIDATOR.check(_file(content_type=content_type))
    VALIDATOR.check(a_message(part_pb2.Part(content_type=content_type, content="")))


# Whatever some language or protocol takes for a space, the end of a line, or nothing.
_ODD_SPACES = [char for number in range(0x3001) if (char := chr(number)).isspace() and char != " "]


@pytest.mark.parametrize(
    "odd", [*_ODD_SPACES, "\r\n", "\0", "\x1b", "\x7f", "\u200b", "\u202e", "\ufeff", "é", '"', "\\"]
)
def test_a_media_type_is_ascii_that_prints_wherever_something_else_is_put(odd: str) -> None:
    for content_type in (
        f"{odd}image/png",
        f"image{odd}/png",
        f"image/{odd}png",
        f"image/png{odd}",
        f"image/png;{odd}a=1",
        f"image/png; a{odd}=1",
        f"image/png; a=1{odd}",
        f"image/png; a=1{odd}; b=2",
        f'image/png; a="b{odd}c"',
    ):
        assert refused_fields(_file(content_type=content_type)) == ["content_type"], repr(content_type)
        part = part_pb2.Part(content_type=content_type, content="")
        assert refused_fields(a_message(part)) == ["parts[0].content_type"], repr(content_type)


@pytest.mark.parametrize("odd", [*_ODD_SPACES, " ", "\x1b", "\x7f", "\u200b", "\u202e", "\ufeff"])
def test_a_url_has_no_spaces_ends_of_lines_or_orders_to_who_shows_it(odd: str) -> None:
    for url in (f"https://a{odd}b/", f"https://a/{odd}", f"{odd}https://a/", f"https://a/?q=a{odd}b"):
        assert refused_fields(a_user(avatar_url=url)) == ["avatar_url"], repr(url)
    VALIDATOR.check(a_user(avatar_url=f"https://møøse.example/{FAMILY}?q=ü"))


# How to put a text somewhere in a request, and what that place is called.
PLACES: list[tuple[Callable[[str], Message], str]] = [
    (lambda text: a_user(id=text), "id"),
    (lambda text: a_user(name=text), "name"),
    (lambda text: a_user(avatar_url="https://a/" + text), "avatar_url"),
    (lambda text: a_user(custom_data=_struct({text: 1})), "custom_data"),
    (lambda text: a_user(custom_data=_struct({"a": text})), "custom_data"),
    (lambda text: a_user(custom_data=_struct({"a": [{"b": [text]}]})), "custom_data"),
    (lambda text: a_user(custom_data=_struct({"a": [{text: None}]})), "custom_data"),
    (lambda text: a_room(user_ids=["a", text]), "user_ids[1]"),
    (lambda text: a_room(creator_id=text), "creator_id"),
    (lambda text: a_room(request_id=text), "request_id"),
    (lambda text: rooms_pb2.UpdateRoomRequest(room_id="a", etag=text), "etag"),
    (lambda text: users_pb2.ListUsersRequest(page_token=text), "page_token"),
    (lambda text: a_message(a_text(text)), "parts[0].content"),
    (lambda text: a_message(part_pb2.Part(content_type=text, content="")), "parts[0].content_type"),
    (lambda text: a_message(part_pb2.Part(content_type="a/b", url="https://a/" + text)), "parts[0].url"),
    (lambda text: a_message(a_text("x"), sender_id=text), "sender_id"),
    (
        lambda text: messages_pb2.SubscribeRoomRequest(room_id="r", after=position_pb2.Position(epoch=text)),
        "after.epoch",
    ),
    (lambda text: access_pb2.CheckAccessRequest(room_id="r", permission=text), "permission"),
]


def test_nul_is_refused_anywhere() -> None:
    for make, field in PLACES:
        for nul in ("\0", "a\0b"):
            assert refused(make(nul), "FIELD_INVALID").metadata == {"field": field}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_struct_has_only_numbers_that_json_has(number: float) -> None:
    nested = struct_pb2.Struct()
    nested.get_or_create_struct("a").get_or_create_list("b").append(number)
    flat = struct_pb2.Struct()
    flat["a"] = number
    for value in (flat, nested):
        assert refused(a_user(custom_data=value), "FIELD_INVALID").metadata == {"field": "custom_data"}


def test_each_value_of_custom_data_has_a_kind() -> None:
    VALIDATOR.check(a_user(custom_data=_struct({"a": None, "b": [None]})))
    in_object, in_list = struct_pb2.Struct(), struct_pb2.Struct()
    in_object.fields["a"].SetInParent()
    in_list.get_or_create_list("a").values.add()
    for value in (in_object, in_list):
        assert refused(a_user(custom_data=value), "FIELD_INVALID").metadata == {"field": "custom_data"}
    assert refused(_file(custom_data=struct_pb2.Value()), "FIELD_INVALID").metadata == {"field": "custom_data"}


def _nested(levels: int, *, alone: bool) -> Any:
    """Return objects in objects, or lists in lists where they need not be an object's."""
    value: Any = "x"
    for _ in range(levels):
        value = [value] if alone else {"a": value}
    return value


def test_custom_data_that_is_certainly_too_much_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 5120
    # `[0,0,…]` is what takes most bytes in a message for each of JSON's.
    fits = _struct({"a": [0] * ((most - len('{"a":[]}')) // 2)})
    VALIDATOR.check(a_user(custom_data=fits))
    monkeypatch.setattr(json_values, "plain_value", lambda _: pytest.fail("was read"))
    error = refused(a_user(custom_data=_struct({"a": [0] * most})), "LIMIT_EXCEEDED")
    assert error.metadata["maximum"] == str(most)
    assert int(error.metadata["actual"]) > most
    assert "at least" in error.message


def test_custom_data_is_nested_no_deeper_than_others_can_read() -> None:
    def user(levels: int) -> Message:
        return a_user(custom_data=json_format.ParseDict(_nested(levels, alone=False), struct_pb2.Struct()))

    def file(levels: int) -> Message:
        value = json_format.ParseDict(_nested(levels, alone=True), struct_pb2.Value())
        return files_pb2.CreateFileRequest(
            room_id="r", content_type="a/b", size_bytes=1, request_id="r", custom_data=value
        )

    for make in (user, file):
        VALIDATOR.check(make(20))
        assert refused(make(21), "FIELD_INVALID").metadata == {"field": "custom_data"}
    wide = struct_pb2.Struct()
    wide.update({f"{number}": [[]] for number in range(100)})
    VALIDATOR.check(a_user(custom_data=wide))


def test_custom_data_is_measured_as_compact_json_in_utf8() -> None:
    VALIDATOR.check(a_user(custom_data=_struct({"k": "x" * 5_112})))
    exceeds(a_user(custom_data=_struct({"k": "x" * 5_113})), "CUSTOM_DATA_BYTES", 5_120, 5_121, "custom_data")
    VALIDATOR.check(a_user(custom_data=_struct({"k": "é" * 2_556})))
    exceeds(a_user(custom_data=_struct({"k": "é" * 2_557})), "CUSTOM_DATA_BYTES", 5_120, 5_122, "custom_data")
    VALIDATOR.check(a_user(custom_data=_struct({})))


@given(json_documents)
def test_a_struct_survives_its_way_through_json_unchanged(value: Any) -> None:
    struct = _struct({"value": value})
    VALIDATOR.check(a_user(custom_data=struct))
    assert json_values.struct_of(json_values.plain(struct)) == struct


@given(json_documents)
def test_any_json_value_survives_its_way_through_json_unchanged(value: Any) -> None:
    given_value = json_format.ParseDict(value, struct_pb2.Value())
    VALIDATOR.check(_file(custom_data=given_value))
    assert json_values.value_of(json_values.plain_value(given_value)) == given_value


def test_a_value_is_refused_and_measured_as_a_struct_is() -> None:
    for number in (float("nan"), float("inf")):
        refused(_file(custom_data=struct_pb2.Value(number_value=number)), "FIELD_INVALID")
    VALIDATOR.check(_file(custom_data=struct_pb2.Value(string_value="x" * 5_118)))
    large = _file(custom_data=struct_pb2.Value(string_value="x" * 5_119))
    exceeds(large, "CUSTOM_DATA_BYTES", 5_120, 5_121, "custom_data")


def test_bytes_are_measured_and_a_hash_has_its_form() -> None:
    frame = files_pb2.UploadFileRequest(room_id="r", file_id="f", chunk=b"x" * 262_144)
    VALIDATOR.check(frame)
    frame.chunk += b"x"
    exceeds(frame, "FILE_CHUNK_BYTES", 262_144, 262_145, "chunk")
    VALIDATOR.check(_file(sha256="aB" * 32))
    for wrong in ("ab" * 31, "xy" * 32, "ab" * 31 + "a "):
        assert refused_fields(_file(sha256=wrong)) == ["sha256"]


def test_numbers_of_enums_are_those_of_the_contract() -> None:
    for number in (1, 2):
        VALIDATOR.check(a_room(visibility=number))
    for number in (3, -1, 2**31 - 1):
        assert refused_fields(a_room(visibility=number)) == ["visibility"]
    assert refused_fields(
        messages_pb2.ListMessagesRequest(room_id="r", direction=cast("messages_pb2.Direction", 9))
    ) == ["direction"]


def test_numbers_are_not_negative() -> None:
    assert refused_fields(messages_pb2.ListMessagesRequest(room_id="r", from_seq=-1, page_size=-1)) == [
        "from_seq",
        "page_size",
    ]
    assert refused_fields(messages_pb2.SubscribeRoomRequest(room_id="r", last=-1)) == ["last"]
    assert refused_fields(messages_pb2.GetMessageRequest(room_id="r", seq=-1)) == ["seq"]
    assert refused_fields(access_pb2.WatchAccessRequest(after_version=-1)) == ["after_version"]
    negative = position_pb2.Position(epoch="e", seq=-1)
    assert refused_fields(messages_pb2.SubscribeRoomRequest(room_id="r", after=negative)) == ["after.seq"]
    VALIDATOR.check(messages_pb2.ListMessagesRequest(room_id="r", page_size=2**31 - 1))


@pytest.mark.parametrize(
    ("seconds", "nanos", "is_time"),
    [
        (0, 0, True),
        (-62_135_596_800, 0, True),
        (253_402_300_799, 999_999_999, True),
        (-62_135_596_801, 0, False),
        (253_402_300_800, 0, False),
        (0, -1, False),
        (0, 1_000_000_000, False),
        (2**63 - 1, 0, False),
    ],
)
def test_a_time_is_one_of_years_1_to_9999(seconds: int, nanos: int, is_time: bool) -> None:
    request = users_pb2.ListUsersRequest(min_create_time=timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos))
    if is_time:
        VALIDATOR.check(request)
    else:
        assert refused_fields(request) == ["min_create_time"]


@pytest.mark.parametrize(
    ("url", "is_url"),
    [
        ("https://example.com/a?b=c#d", True),
        ("http://127.0.0.1:8080", True),
        ("https://[::1]/x", True),
        ("https://bücher.example/ü", True),
        ("https://example.com/%E2%9C%93?a[]=1&b='x'#!/y", True),
        (f"https://example.com/e\u0301/{FAMILY}/한국", True),
        ("HTTP://user@example.com:80", True),
        ("https://example.com/100%", False),
        ("https://example.com/%2", False),
        ('http://x/"onload="', False),
        ("http://a\\b", False),
        ("http://a/<b>", False),
        ("http://a/{b}|^`", False),
        ("http://\u3164/", False),
        ("http://\u2800/x", False),
        ("http://a/\u2800", False),
        ("http://a/\u202ex", False),
        ("http://a/\ue000", False),
        ("http://a/\ufffe", False),
        ("http://a/\U000e0100", False),
        ("http://\u0301/", False),
        ("http://a\u3000b/", False),
        ("", True),
        ("example.com/a", False),
        ("//example.com/a", False),
        ("ftp://example.com", False),
        ("javascript:alert(1)", False),
        ("data:text/plain,x", False),
        ("https://", False),
        ("https:///path", False),
        ("https://a b", False),
        ("https://a\nb", False),
        ("https://a:port", False),
        ("https://a:99999", False),
        ("https://[::1", False),
    ],
)
def test_a_url_is_absolute_and_of_the_web(url: str, is_url: bool) -> None:
    if is_url:
        VALIDATOR.check(a_user(avatar_url=url))
    else:
        assert refused_fields(a_user(avatar_url=url)) == ["avatar_url"]


@pytest.mark.parametrize(
    ("content_type", "is_media_type"),
    [
        ("text/plain", True),
        ("text/plain; charset=utf-8", True),
        ('application/vnd.api+json; profile="a b"; v=1', True),
        ("text", False),
        ("text/", False),
        ("/plain", False),
        ("text/pl ain", False),
        ("text/plain;", False),
        ("text/plain\n", False),
        ("text/plain; charset", False),
        ("*/*", False),
    ],
)
def test_a_content_type_is_a_media_type(content_type: str, is_media_type: bool) -> None:
    request = a_message(part_pb2.Part(content_type=content_type, content="x"))
    if is_media_type:
        VALIDATOR.check(request)
    else:
        assert refused_fields(request) == ["parts[0].content_type"]
