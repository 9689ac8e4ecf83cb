"""The OpenAPI document is one, has every call in JSON, and says of errors what the edge answers.

That answers are as it says is shown of every method by test_reference_examples.
"""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from services.edge.reference.contract import methods
from services.edge.reference.openapi import document
from services.edge.reference.requests import REQUESTS
from services.runtime.contract.policies import Limits
from tests.edge.calling import GET
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.openapi import DOCUMENT, faults

_SEND = "/chatkit.messages.v1.MessagesService/SendMessage"


def test_it_is_a_document_of_openapi_and_its_schemas_are_schemas() -> None:
    validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_method_that_json_can_call_has_a_path() -> None:
    in_json = {method.contract.path for method in methods() if not method.contract.streams_requests}
    assert set(DOCUMENT["paths"]) == in_json
    for method in methods():
        if method.contract.path in in_json:
            (kind,) = DOCUMENT["paths"][method.contract.path]["post"]["responses"]["200"]["content"]
            assert kind == ("text/event-stream" if method.contract.streams else "application/json")


def test_the_requests_of_the_examples_are_as_it_says() -> None:
    for method in methods():
        if not method.contract.streams_requests:
            assert faults(method.contract.request.full_name, REQUESTS[method.full_name]) == [], method.full_name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("users.v1.GetUserRequest", {}),
        ("users.v1.GetUserRequest", {"userId": 1}),
        ("users.v1.GetUserRequest", {"userId": "x" * 161}),
        ("users.v1.GetUserRequest", {"userid": "bob"}),
        ("messages.v1.GetMessageRequest", {"roomId": "lobby", "seq": "one"}),
        ("messages.v1.SendMessageRequest", {"roomId": "lobby", "requestId": "1", "parts": [{}] * 11}),
        ("rooms.v1.CreateRoomRequest", {"visibility": "VISIBILITY_SECRET"}),
    ],
)
def test_what_would_be_refused_is_not_as_it_says(name: str, told: object) -> None:
    assert faults(f"chatkit.{name}", told)


def test_limits_are_those_in_force() -> None:
    schemas = document(Limits({"ID_CHARS": 20}), "0.1.0")["components"]["schemas"]
    assert schemas["chatkit.users.v1.GetUserRequest"]["properties"]["userId"]["maxLength"] == 20


async def test_the_edge_serves_it_to_anyone(edge: Edge) -> None:
    answer = await edge.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == DOCUMENT


async def test_errors_are_as_it_says_whoever_refuses(edge: Edge) -> None:
    alice = tokens.token("alice")
    part = {"contentType": "text/plain", "content": "x" * 6_000}
    calls: list[tuple[str, Any, str | None, str]] = [
        (GET, {"userId": "bob"}, None, "TOKEN_MISSING"),
        (GET, {"userid": "bob"}, alice, "REQUEST_MALFORMED"),
        (GET, {}, alice, "FIELD_REQUIRED"),
        (GET, {"userId": "nobody"}, alice, "USER_NOT_FOUND"),
        (f"{GET}s", {}, alice, "METHOD_NOT_FOUND"),
        (_SEND, {"roomId": "lobby", "requestId": "1", "parts": [part]}, alice, "LIMIT_EXCEEDED"),
        (_SEND, {"roomId": "nowhere", "requestId": "1", "parts": [part]}, alice, "LIMIT_EXCEEDED"),
        (GET, {"userId": "x" * 200_000}, alice, "REQUEST_TOO_LARGE"),
    ]
    for path, body, token, reason in calls:
        told = (await edge.json(path, body, token)).json()
        assert faults("google.rpc.Status", told) == [], reason
        assert told["details"][0]["reason"] == reason
    assert faults("google.rpc.Status", {"code": 3, "message": "", "details": [{"@type": "other"}]})
