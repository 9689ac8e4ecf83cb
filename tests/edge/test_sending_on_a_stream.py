"""Sends on a stream through the edge: answered while it is open, not refused for their rate, and not in JSON."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from google.protobuf import json_format

from tests.edge.calling import unheard
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.sending import Sender, numbered, sending, word
from tests.support.suite import Suite

_PATH = "/chatkit.messages.v1.MessagesService/SendMessages"


@asynccontextmanager
async def _open(edge: Edge, user: str = "alice") -> AsyncIterator[Sender]:
    async with sending(MessagesServiceStub(edge.channel), tokens.user(user)) as sender:
        await sender.opened()
        yield sender


async def test_messages_are_answered_while_the_stream_is_open_and_it_ends_well(edge: Edge) -> None:
    await edge.suite.make_room("attic", "alice")
    async with _open(edge) as sender:
        for number in range(1, 9):
            await sender.send(numbered(number, "lobby" if number % 2 else "attic"))
            assert word(await sender.result(number)) == "OK"
        await sender.send(numbered(9, "nowhere"), numbered(10))
        assert [word(await sender.result(number)) for number in (9, 10)] == ["ROOM_ACCESS_DENIED", "OK"]
        await sender.finish()
    assert [message.seq for message in await sender.messages((1, 3, 5, 7, 10))] == [1, 2, 3, 4, 5]


async def test_who_sends_too_fast_for_calls_is_refused_nothing_on_a_stream(edge: Edge) -> None:
    async with _open(edge) as sender:
        await sender.send(*(numbered(number) for number in range(1, 41)))
        assert await sender.told(40) == ["OK"] * 40


async def test_a_stream_is_open_before_anything_is_sent_and_ends_well_without_it(edge: Edge) -> None:
    async with _open(edge) as sender:
        await sender.finish()
    assert sender.results == {}


async def test_gRPC_Web_sends_all_of_it_and_is_answered_then(edge: Edge) -> None:
    body = b"".join(
        b"\0" + len(frame).to_bytes(4, "big") + frame
        for frame in (pb2.SendMessagesRequest(requests=[numbered(n)]).SerializeToString() for n in range(2))
    )
    headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {tokens.token('alice')}"}
    answer = await edge.http.post(_PATH, content=body, headers=headers)
    assert b"grpc-status:0" in answer.content
    assert edge.suite.database.count("messages.messages") == 2


async def test_there_is_no_JSON_for_it(edge: Edge) -> None:
    request = {"requests": [json_format.MessageToDict(numbered(1))]}
    for content_type in ("application/json", "application/json; charset=utf-8", ""):
        headers = {"content-type": content_type} if content_type else {}
        async with unheard(edge.suite):
            for body in (request, [request], {}):
                answer = await edge.json(_PATH, body, tokens.token("alice"), **headers)
                assert (answer.status_code, answer.json()["code"]) == (400, 3), content_type
                assert answer.json()["details"][0]["reason"] == "REQUEST_MALFORMED"
                assert "gRPC" in answer.json()["message"]


async def test_who_may_not_call_hears_why(edge: Edge) -> None:
    for metadata, reason in (((), "TOKEN_MISSING"), (tokens.service("rooms", "messages"), "TOKEN_INVALID")):
        async with sending(MessagesServiceStub(edge.channel), metadata) as sender, unheard(edge.suite):
            await refused(sender.call.read(), reason)


async def test_a_frame_that_is_compressed_is_refused_with_a_reason(edge: Edge) -> None:
    stub: Any = MessagesServiceStub(edge.channel)
    call = stub.SendMessages(metadata=tokens.user("alice"), compression=grpc.Compression.Gzip)
    await call.read()
    await call.write(pb2.SendMessagesRequest(requests=[numbered(number) for number in range(50)]))
    async with asyncio.timeout(HANG_SECONDS):
        await refused(_to_the_end(call), "REQUEST_MALFORMED")
    assert edge.suite.database.count("messages.messages") == 0


async def _to_the_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_an_edge_that_ends_lets_what_is_under_way_be_answered(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    async with running_edge(
        suite, short_path, CHATKIT_DRAIN_SECONDS="0", CHATKIT_SHUTDOWN_GRACE_SECONDS="3600"
    ) as edge:
        async with _open(edge) as sender:
            await sender.send(*(numbered(number) for number in range(1, 11)))
            await sender.result(1)
            assert edge.child.process is not None
            edge.child.process.send_signal(signal.SIGTERM)
            assert await sender.ending() == ("SHUTTING_DOWN", "SHUTTING_DOWN")
            # What it had begun; nothing is both stored and not answered, where nothing is killed.
            told = len(sender.results)
            assert {word(result) for result in sender.results.values()} == {"OK"}
            assert suite.database.count("messages.messages") == told
        async with asyncio.timeout(HANG_SECONDS):
            assert await edge.child.process.wait() == 0
        assert "calls_cut" not in edge.log
