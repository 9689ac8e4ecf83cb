"""`./chatkit trace` against a suite of real processes: from the edge to the reader's stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from chatkit.messages.v1.messages_service_pb2 import DeleteMessageRequest
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from services.stack.commands.connecting import connected
from services.stack.sign_in import bearer, token
from tests.messages.chat import text
from tests.stack.commands.typed import run_chatkit
from tests.support.eventually import eventually, until
from tests.support.sending import sending
from tests.support.stack import RunningStack, running_stack

_STAGES = {"admission", "committer's queue", "lock and read", "write and commit"}
_SEND = "chatkit.messages.v1.MessagesService/SendMessage"
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack("--replicas", "messages=2") as started:
        yield started


async def _send(stack: RunningStack, text: str, request_id: str) -> tuple[str, str]:
    """Send a message in JSON; return it as ROOM/SEQ, and the id that the edge has given the call."""
    part = {"contentType": "text/plain", "content": text}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"http://{stack.address}/{_SEND}",
            json={"roomId": "lobby", "parts": [part], "requestId": request_id},
            headers={"authorization": f"Bearer {token(stack.home, 'alice')}"},
        )
    assert answer.status_code == 200, answer.text
    return f"lobby/{answer.json()['message']['seq']}", answer.headers["x-request-id"]


async def _trace(stack: RunningStack, what: str, *names: str) -> dict[str, Any]:
    """Return a trace once it has spans with certain names: on a busy machine some may be late."""
    told: dict[str, Any] = {}

    async def is_whole() -> bool:
        status, out, _ = await run_chatkit(stack, "trace", what, "--json")
        told.update(json.loads(out) if status == 0 else {})
        return status == 0 and {*names} <= {span["name"] for span in told["spans"]}

    await until(is_whole)
    return told


async def test_a_message_is_followed_from_the_edge_to_its_readers_by_each_of_its_names(stack: RunningStack) -> None:
    async with connected(stack.home, "bob") as client:
        events = client.subscribe("lobby")
        reading = asyncio.ensure_future(anext(aiter(events)))
        await eventually(lambda: events.connection.is_live)
        message, call = await _send(stack, "a secret", "once")
        await reading
        told = await _trace(stack, message, f"/{_SEND}", _SEND, *_STAGES, "deliver", "queue")
        by_name = {span["name"]: span for span in told["spans"]}
        of_edge, of_send = by_name[f"/{_SEND}"], by_name[_SEND]
        assert (of_edge["service"], of_edge["parent_id"]) == ("chatkit-edge", "")
        assert of_send["parent_id"] == of_edge["span_id"]
        assert of_send["process"] in {"messages-1", "messages-2"}
        below = {span["name"] for span in told["spans"] if span["parent_id"] == of_send["span_id"]}
        assert _STAGES | {"deliver"} <= below
        for name in (call, "once", told["trace_id"]):
            assert (await _trace(stack, name))["trace_id"] == told["trace_id"]
    shown = (await run_chatkit(stack, "trace", message))[1]
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.index("SendMessage") < shown.index("└─ SendMessage") < shown.index("write and commit")
    assert f"message {message}, user " in shown
    assert "ms after its time, written to 1 of 1 streams" in shown
    written = stack.home.traces.read_text()
    assert "a secret" not in written
    assert "alice" not in written


async def test_a_deletion_is_found_by_its_message_and_the_send_is_named_as_well(stack: RunningStack) -> None:
    message, _ = await _send(stack, "hello", "before")
    sent = await _trace(stack, message, _SEND)
    async with connected(stack.home, "alice") as client:
        await client.call(DeleteMessageRequest(room_id="lobby", seq=int(message.rpartition("/")[2])))
    method = "chatkit.messages.v1.MessagesService/DeleteMessage"

    async def is_shown() -> bool:
        told = await _trace(stack, message)
        return told["others"] == [sent["trace_id"]] and method in {span["name"] for span in told["spans"]}

    await until(is_shown)


async def test_a_message_that_was_sent_on_a_stream_has_a_trace_of_its_own(stack: RunningStack) -> None:
    async with (
        grpc.aio.insecure_channel(stack.address, options=(("grpc.enable_http_proxy", 0),)) as channel,
        sending(MessagesServiceStub(channel), bearer(stack.home, "alice")) as sender,
    ):
        await sender.send(*(text("hello", f"on a stream {number}", "lobby") for number in range(3)))
        *_, last = await sender.messages(range(1, 4))
        await sender.finish()
    told = await _trace(stack, f"lobby/{last.seq}", "send", *_STAGES)
    (whole,) = (span for span in told["spans"] if not span["parent_id"])
    assert whole["name"] == "send"
    assert {span["name"] for span in told["spans"] if span["parent_id"] == whole["span_id"]} >= _STAGES
    assert (await _trace(stack, "on a stream 2"))["trace_id"] == told["trace_id"]
    assert (await _trace(stack, "on a stream 1"))["trace_id"] != told["trace_id"]


async def test_what_was_never_said_is_one_sentence(stack: RunningStack) -> None:
    status, shown, said = await run_chatkit(stack, "trace", "lobby/4711")
    assert (status, shown) == (1, "")
    assert said.startswith("chatkit: nothing is known of lobby/4711: ")
