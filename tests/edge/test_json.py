"""JSON that says something else than what its method takes is refused, with field and place of what is wrong."""

import itertools
import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.edge import public
from tests.edge.calling import GET, unheard
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.suite import Suite

_USERS = "/chatkit.users.v1.UsersService/"
_ROOMS = "/chatkit.rooms.v1.RoomsService/"
_MESSAGES = "/chatkit.messages.v1.MessagesService/"
_CURSORS = "/chatkit.messages.v1.ReadStatesService/"

# A body, and where in it what is wrong stands: the field, the column of its one line, and some words.
WRONG: dict[str, tuple[str, str, str, int, str]] = {
    "an end that is missing": (GET, '{"userId":', "userId", 11, "too early"),
    "a list": (GET, "[]", "", 1, "must be an object"),
    "a text": (GET, '"x"', "", 1, "must be an object"),
    "blanks alone": (GET, "  ", "", 3, "must be an object"),
    "more behind it": (GET, '{"userId": "x"} y', "", 17, "nothing may follow"),
    "a comma at the end": (GET, '{"userId": "x",}', "", 16, "a name in double quotes"),
    "single quotes": (GET, "{'userId': 'x'}", "", 2, "a name in double quotes"),
    "no colon": (GET, '{"userId" "x"}', "userId", 11, "a colon"),
    "no comma": (GET, '{"userId": "x" "a": 1}', "", 16, "a comma"),
    "a text without an end": (GET, '{"userId": "x', "userId", 12, "does not end"),
    "half a pair": (GET, r'{"userId": "\ud800"}', "userId", 13, "surrogate"),
    "the other half": (GET, r'{"userId": "\udc00"}', "userId", 13, "surrogate"),
    "two first halves": (GET, r'{"userId": "\ud800\ud800"}', "userId", 19, "surrogate"),
    "no escape": (GET, r'{"userId": "\x"}', "userId", 13, "escape"),
    "no hexadecimal digits": (GET, r'{"userId": "\u12g4"}', "userId", 13, "hexadecimal"),
    "no value": (GET, '{"userId": nope}', "userId", 12, "a value"),
    "a number that is none": (_CURSORS + "SetReadCursor", '{"seq": 1.2.3}', "seq", 9, "a value"),
    "a number for a text": (GET, '{"userId": 1}', "userId", 12, "must be a text"),
    "an object for a text": (GET, '{"userId": {}}', "userId", 12, "must not be an object"),
    "a list for a text": (GET, '{"userId": ["x"]}', "userId", 12, "must not be a list"),
    "an unknown field": (GET, '{"userid": "x"}', "userid", 2, "no such field"),
    "one far inside": (
        _MESSAGES + "SendMessage",
        '{"parts": [{}, {"type": "x"}]}',
        "parts[1].type",
        17,
        "no such field",
    ),
    "a field of a message in a list": (
        _MESSAGES + "SendMessage",
        '{"parts": [{"contentType": 3}]}',
        "parts[0].contentType",
        28,
        "must be a text",
    ),
    "a text for a message": (_MESSAGES + "SendMessage", '{"parts": ["a"]}', "parts[0]", 12, "must be an object"),
    "an enum's value": (_ROOMS + "CreateRoom", '{"visibility": "PRIVATE"}', "visibility", 16, "VISIBILITY_PRIVATE"),
    "a fraction": (_ROOMS + "CreateRoom", '{"retentionDays": 1.5}', "retentionDays", 19, "whole number"),
    "a number too large": (_ROOMS + "CreateRoom", '{"retentionDays": 2147483648}', "retentionDays", 19, "too large"),
    "a text for a number": (_CURSORS + "SetReadCursor", '{"seq": "x"}', "seq", 9, "whole number"),
    "a list for custom data": (_ROOMS + "CreateRoom", '{"customData": [1]}', "customData", 16, "must not be a list"),
    "a word for a boolean": (_CURSORS + "SetReadCursor", '{"allowBackward": 1}', "allowBackward", 19, "true or false"),
    "a value too deep": (
        _ROOMS + "CreateRoom",
        '{"customData": {"a": ' + "[" * 100 + "]" * 100 + "}}",
        "customData.a" + "[0]" * 36 + "...",
        110,
        "too deeply",
    ),
    "a misspelt name in a mask": (
        _ROOMS + "UpdateRoom",
        '{"updateMask": {"path": []}}',
        "updateMask.path",
        17,
        "no such",
    ),
    "a number for a mask": (_USERS + "UpdateUser", '{"updateMask": 5}', "updateMask", 16, "names of fields"),
    "a list for a mask": (_USERS + "UpdateUser", '{"updateMask": ["a"]}', "updateMask", 16, "must not be a list"),
    "a text that is no mask": (_USERS + "UpdateUser", '{"updateMask": "a b"}', "updateMask", 16, "names of fields"),
    "a misspelt name in a time": (
        _USERS + "ListUsers",
        '{"minCreateTime": {"second": 1}}',
        "minCreateTime.second",
        20,
        "no such field",
    ),
    "a date for a time": (
        _USERS + "ListUsers",
        '{"minCreateTime": "2020-01-01"}',
        "minCreateTime",
        19,
        "a time such as",
    ),
    "a number for a time": (_USERS + "ListUsers", '{"minCreateTime": 5}', "minCreateTime", 19, "a time such as"),
    "null in a list": (_MESSAGES + "SendMessage", '{"parts": [{}, null]}', "parts[1]", 16, "must not be null"),
    "null in a list of texts": (_USERS + "BatchGetUsers", '{"userIds": [null]}', "userIds[0]", 14, "must not be null"),
    "a field twice": (GET, '{"userId": "a", "userId": "b"}', "userId", 17, "stands here twice"),
    "a field in two spellings": (GET, '{"userId": "a", "user_id": "b"}', "user_id", 17, "stands here twice"),
    "a list twice": (_MESSAGES + "SendMessage", '{"parts": [], "parts": []}', "parts", 15, "stands here twice"),
    "a name twice in custom data": (
        _ROOMS + "CreateRoom",
        '{"customData": {"a": {"b": 1, "b": 2}}}',
        "customData.a.b",
        31,
        "stands here twice",
    ),
    "two fields of which there may be one": (
        _MESSAGES + "SubscribeRoom",
        '{"last": 1, "after": {}}',
        "after",
        22,
        "together with last",
    ),
    "an enum's number that is too large": (
        _ROOMS + "CreateRoom",
        '{"visibility": 1099511627776}',
        "visibility",
        16,
        "too large",
    ),
    "one more than 64 bits hold": (_CURSORS + "SetReadCursor", f'{{"seq": {2**63}}}', "seq", 9, "too large"),
    "one less, as a text": (_CURSORS + "SetReadCursor", f'{{"seq": "{-(2**63) - 1}"}}', "seq", 9, "too large"),
    "a power of ten in a text": (_CURSORS + "SetReadCursor", '{"seq": "1e0"}', "seq", 9, "whole number"),
    "a zero before a number": (_CURSORS + "SetReadCursor", '{"seq": 01}', "seq", 9, "a value"),
    "a number without an end": (_ROOMS + "CreateRoom", '{"customData": {"a": 1e400}}', "customData.a", 22, "too large"),
    "five hundred digits": (
        _ROOMS + "CreateRoom",
        '{"customData": {"a": -' + "9" * 500 + "}}",
        "customData.a",
        22,
        "too large",
    ),
    "a line's end in a text": (GET, '{"userId": "a\nb"}', "userId", 14, "must be escaped"),
    "far more items than anybody may send": (
        _USERS + "BatchGetUsers",
        '{"userIds": [' + '"a",' * 500 + '"a"]}',
        "userIds",
        2014,
        "more items",
    ),
    "far more values than fit into custom data": (
        _ROOMS + "CreateRoom",
        '{"customData": {"a": [' + "1," * 60_000 + "1]}}",
        "customData.a[5119]",
        10_261,
        "more values",
    ),
}


_USERS_SO_FAR = itertools.count()


def _headers(content_type: str = "application/json") -> dict[str, str]:
    """Return those of a call of another user each time: what a user's rate refuses is not read as JSON."""
    token = tokens.token(f"alice-{next(_USERS_SO_FAR)}", su=True)
    return {"content-type": content_type, "authorization": f"Bearer {token}"}


async def _post(edge: Edge, path: str, body: str | bytes) -> httpx.Response:
    return await edge.http.post(path, content=body, headers=_headers())


def _details(answer: httpx.Response) -> tuple[str, str, list[str]]:
    """Return field and place of a refusal, and the fields of its violations."""
    assert answer.status_code == 400, answer.text
    error = answer.json()
    info = error["details"][0]
    assert (error["code"], info["reason"], info["domain"]) == (3, "REQUEST_MALFORMED", "chatkit")
    violations = [found["field"] for detail in error["details"][1:] for found in detail["fieldViolations"]]
    assert not [name for name in answer.headers if name.startswith("x-chatkit")]
    return info["metadata"].get("field", ""), info["metadata"]["place"], violations


async def test_what_is_wrong_is_told_with_its_field_and_its_place(edge: Edge) -> None:
    async with unheard(edge.suite):
        for name, (path, body, field, column, words) in WRONG.items():
            answer = await _post(edge, path, body)
            place = f"line 1, column {column}"
            assert _details(answer) == (field, place, [field] if field else []), name
            assert answer.json()["message"].startswith(f"{place}: {field}"), name
            assert words in answer.json()["message"], name


async def test_what_is_a_little_too_much_is_refused_by_the_service_which_names_the_limit(edge: Edge) -> None:
    numbers = {"a": [1] * 2600}
    for path, body, limit in (
        (_USERS + "BatchGetUsers", {"userIds": ["a"] * 251}, "USERS_PER_GET"),
        (_ROOMS + "CreateRoom", {"customData": numbers, "name": "x", "userIds": ["a"] * 9}, "CUSTOM_DATA_BYTES"),
    ):
        answer = (await _post(edge, path, json.dumps({"visibility": 1, **body} if "Room" in path else body))).json()
        assert {detail.get("metadata", {}).get("limit") for detail in answer["details"]} >= {limit}, answer


async def test_what_is_no_utf_8_is_told_with_its_place(edge: Edge) -> None:
    for cut in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
        answer = await _post(edge, GET, b'{"userId": "a' + cut + b'"}')
        assert _details(answer) == ("userId", "line 1, column 14", ["userId"]), cut
        assert "is no UTF-8" in answer.json()["message"], cut


async def test_json_is_read_whatever_it_is_called(edge: Edge) -> None:
    for content_type in (
        "",
        "text/plain",
        "application/grpcx",
        "application/grpc;x",
        "application/grpc;charset=utf-8",
        "application/grpc-foo",
        "application/grpc-web+json",
        "application/grpc-web-text+json",
        "APPLICATION/GRPC",
    ):
        async with unheard(edge.suite):
            call = edge.http.post(_ROOMS + "UpdateRoom", content='{"roomid": "x"}', headers=_headers(content_type))
            answer = await call
            assert _details(answer)[0] == "roomid", content_type


async def test_a_mask_is_a_text_or_a_list_of_paths(edge: Edge) -> None:
    for mask in ('"name"', '{"paths": ["name"]}', '"name,customData"', '""', "null"):
        answer = await _post(edge, _ROOMS + "UpdateRoom", f'{{"roomId": "nowhere", "updateMask": {mask}}}')
        assert answer.json()["details"][0]["reason"] == "ROOM_NOT_FOUND", (mask, answer.text)


async def test_the_place_counts_lines(edge: Edge) -> None:
    answer = await _post(edge, GET, '{\n  "userId": "x",\n  "other": 1\n}')
    assert _details(answer) == ("other", "line 3, column 3", ["other"])


async def test_what_a_client_wrote_is_cut_and_can_not_end_a_header(edge: Edge) -> None:
    answer = await _post(edge, GET, json.dumps({"é\r\nx-injected: 1" + "x" * 100_000: 1}, ensure_ascii=False))
    assert "x-injected" not in answer.headers
    assert len(answer.content) < 2_000


async def test_a_field_that_no_method_has_reaches_no_service(edge: Edge) -> None:
    async with unheard(edge.suite):
        for _, method in public.methods():
            if not method.streams_requests:
                answer = await _post(edge, method.path, '{"spelledWrong": 1}')
                assert _details(answer) == ("spelledWrong", "line 1, column 2", ["spelledWrong"]), method.path


async def test_without_the_rule_a_misspelt_field_is_dropped_in_silence(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, "json") as edge:
        assert (await _post(edge, GET, '{"userId": "bob", "spelledWrong": 1}')).status_code == 200


def _messages() -> dict[str, type[Message]]:
    found: dict[str, type[Message]] = {}
    for _, method in public.methods():
        if not method.streams_requests:
            found[method.path] = method.request_class
    return found


def _some(descriptor: Descriptor, depth: int = 0) -> dict[str, Any]:
    """Return a message of a type in JSON, with something in every field, and in one of each oneof."""
    fields = [field for field in descriptor.fields if field.containing_oneof is None or _is_last(field)]
    return {field.json_name: _some_values(field, depth) for field in fields if depth < 4}


def _is_last(field: FieldDescriptor) -> bool:
    return field.containing_oneof is not None and field.containing_oneof.fields[-1].name == field.name


def _some_values(field: FieldDescriptor, depth: int) -> Any:
    return [_some_value(field, depth)] * 2 if field.is_repeated else _some_value(field, depth)


def _some_value(field: FieldDescriptor, depth: int) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].name
    if field.message_type is None:
        return _SCALARS[field.type]
    return _WELL_KNOWN.get(field.message_type.full_name) or _some(field.message_type, depth + 1)


_SCALARS = {
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_INT32: 2**31 - 1,
    FieldDescriptor.TYPE_INT64: str(2**63 - 1),
    FieldDescriptor.TYPE_STRING: '\U0001f98e " \\ é \n',
}
_WELL_KNOWN = {
    "google.protobuf.FieldMask": "name,customData",
    "google.protobuf.Struct": {"a": [1, -1.5e-7, None, True, {"b": {}}, [], "x"]},
    "google.protobuf.Timestamp": "2026-01-01T00:00:00.5Z",
    "google.protobuf.Value": [{"a": None}],
}


@pytest.mark.parametrize("spelling", ["camel", "snake"])
async def test_every_field_of_every_request_passes_in_both_spellings(spelling: str, edge: Edge) -> None:
    """Whatever the services then think of such requests: it is not that they can't be read."""
    for path, kind in _messages().items():
        some = _some(cast("Descriptor", kind.DESCRIPTOR))
        message = json_format.ParseDict(some, kind())
        if spelling == "snake":
            some = json_format.MessageToDict(message, preserving_proto_field_name=True)
        body = json.dumps(some, indent=1, ensure_ascii=spelling == "camel")
        async with edge.http.stream("POST", path, content=body, headers=_headers()) as answer:
            if answer.status_code != 200:
                await answer.aread()
                assert "REQUEST_MALFORMED" not in answer.text, (path, answer.text)
                assert "RATE_EXCEEDED" not in answer.text, path


async def test_json_as_large_as_it_may_be_is_read_whole(edge: Edge) -> None:
    parts = [{"contentType": "text/plain", "content": "\u00e9" * 1_050}] * 19
    answer = await _post(edge, _MESSAGES + "SendMessage", json.dumps({"roomId": "lobby", "parts": parts}))
    assert answer.json()["details"][0]["reason"] == "LIMIT_EXCEEDED"
    wrong = json.dumps({"roomId": "lobby", "parts": [*parts, {"kind": "x"}]})
    assert _details(await _post(edge, _MESSAGES + "SendMessage", wrong))[0] == "parts[19].kind"
    many = {"requests": [{"roomId": "lobby", "parts": parts}] * 16 + [{"room": ""}]}
    answer = await _post(edge, _MESSAGES + "BatchSendMessages", json.dumps(many))
    assert _details(answer)[0] == "requests[16].room"
    async with httpx.AsyncClient(base_url=edge.http.base_url, http2=True, http1=False, trust_env=False) as by_http2:
        headers = {"content-type": "application/json", "authorization": f"Bearer {tokens.token('alice')}"}
        answer = await by_http2.post(_MESSAGES + "SendMessage", content=wrong, headers=headers)
        assert (answer.http_version, _details(answer)[0]) == ("HTTP/2", "parts[19].kind")
