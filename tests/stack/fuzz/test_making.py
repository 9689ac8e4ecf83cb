"""Inputs are the same for the same seed, and go to where limits are."""

from collections import Counter
from itertools import islice
from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2
from chatkit.rooms.v1 import rooms_service_pb2
from google.protobuf.message import Message

from services.edge.public import methods
from services.runtime.contract.policies import Limits, MethodContract, methods_of
from services.stack.fuzz.inputs import Face, Input
from services.stack.fuzz.making import json_texts, octets
from services.stack.fuzz.making.chance import Chance
from services.stack.fuzz.making.known import ROOMS, USERS, Known
from services.stack.fuzz.making.maker import Maker
from services.stack.fuzz.making.messages import Messages

_MANY = 1_000
_KNOWN = Known({"file_id": ["a-file"]}, ("/files/a-file?expires=1&signature=x",))


@pytest.fixture(scope="module")
def inputs() -> list[Input]:
    maker = Maker(7, Limits(), _KNOWN)
    return [maker.input(number) for number in range(_MANY)]


def _requests(service: Any, name: str, how: str) -> list[Any]:
    method = next(one for one in methods_of(service) if one.name == name)
    return [_made(number, method, how) for number in range(_MANY)]


def _made(number: int, method: MethodContract, how: str) -> Message:
    make = getattr(Messages(Chance(number), Limits(), _KNOWN), how)
    message: Message = make(method)
    return message


_SEND = (messages_service_pb2.DESCRIPTOR.services_by_name["MessagesService"], "SendMessage")
_CREATE = (rooms_service_pb2.DESCRIPTOR.services_by_name["RoomsService"], "CreateRoom")


def test_number_k_of_a_seed_is_the_same_whoever_asks_and_whenever(inputs: list[Input]) -> None:
    maker = Maker(7, Limits(), _KNOWN)
    for number in (999, 3, 500, 3):
        assert maker.input(number) == inputs[number]
    other = Maker(8, Limits(), _KNOWN)
    assert [other.input(number).body for number in range(50)] != [one.body for one in inputs[:50]]


def test_every_face_every_way_and_every_method_gets_some(inputs: list[Input]) -> None:
    assert {one.face for one in inputs} == set(Face)
    paths = Counter(one.what for one in inputs)
    assert {method.path for _, method in methods()} <= set(paths)
    ways = {one.how for one in inputs if one.face is Face.GRPC}
    assert ways == {"example", "mutated", "made", "octets", "frames", "headers", "no http"}
    assert {one.place for one in inputs} == {"edge", "users", "rooms", "messages", "files", "files-http"}
    assert any("internal" in one.what for one in inputs if one.face is Face.SERVICES)
    assert any(not one.is_ended for one in inputs)


def test_an_example_is_about_what_there_is() -> None:
    for request in islice(_requests(*_SEND, "example"), 200):
        assert request.room_id in ROOMS
        assert request.parts[0].content == "Hello"


def test_texts_are_as_long_as_they_may_be_and_one_longer() -> None:
    most = Limits().rows
    limit = next(row.value for row in most if row.name == "ROOM_NAME_CHARS")
    lengths = {len(request.name) for request in _requests(*_CREATE, "made")}
    assert {limit - 1, limit, limit + 1} <= lengths


def test_lists_are_as_long_as_they_may_be_and_one_longer() -> None:
    lengths = {len(request.user_ids) for request in _requests(*_CREATE, "made")}
    assert {0, 9, 10, 11} <= lengths


def test_ids_are_sometimes_somebodys_and_sometimes_nobodys() -> None:
    creators = {request.creator_id for request in _requests(*_CREATE, "mutated")}
    assert creators & set(USERS)
    assert any("\0" in one for one in creators)


def test_numbers_that_no_enum_has_are_sent() -> None:
    kinds = {request.visibility for request in _requests(*_CREATE, "made")}
    assert {-1, 1, 2, 2**31 - 1} <= kinds


def test_json_has_halves_of_surrogates_numbers_beyond_all_and_names_nobody_knows() -> None:
    message = messages_service_pb2.SendMessageRequest(room_id="lobby", request_id="1")
    texts = b"\n".join(json_texts.spoiled(Chance(seed), message) for seed in range(_MANY))
    for part in (b"\\ud800", b"1" + b"0" * 400, b'"unknown"', b"NaN", b"\xed\xa0\x80", b"[[[["):
        assert part in texts


def test_octets_are_cut_turned_and_put_in() -> None:
    body = messages_service_pb2.SendMessageRequest(room_id="lobby", request_id="1").SerializeToString()
    spoiled = {octets.spoiled(Chance(seed), body) for seed in range(_MANY)}
    assert any(one and one != body and body.startswith(one) for one in spoiled)
    assert any(len(one) == len(body) and one != body for one in spoiled)
    assert max(map(len, spoiled)) > 65_536
    frames = {octets.misframed(Chance(seed), body) for seed in range(_MANY)}
    assert {b"", octets.framed(body) * 2, b"\1" + octets.framed(body)[1:]} <= frames
