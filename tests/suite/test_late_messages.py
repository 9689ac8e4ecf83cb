"""A message that is late in one of four ways: its trace and the log say where it was held."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import psycopg
import pytest
import pytest_asyncio
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from services.stack.sign_in import bearer
from tests.messages.chat import text
from tests.stack.commands.typed import run_chatkit
from tests.support.eventually import until
from tests.support.stack import RunningStack, running_stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
# What takes so long is told in the log, and for so long a message is held.
_LATE_SECONDS = 0.3
_SEND = "/chatkit.messages.v1.MessagesService/SendMessage"
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.http2.bdp_probe", 0))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite, with two processes of messages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATKIT_SLOW_CALL_SECONDS", str(_LATE_SECONDS))
        async with running_stack("--replicas", "messages=2") as started:
            yield started


@asynccontextmanager
async def _readers(stack: RunningStack, count: int) -> AsyncIterator[list[Any]]:
    """Open so many streams of the lobby over connections of their own, each up to where it is live."""
    async with AsyncExitStack() as opened:
        streams = []
        for number in range(count):
            # What is the same shares a connection.
            options = (*_OPTIONS, ("chatkit.number", number))
            channel = await opened.enter_async_context(grpc.aio.insecure_channel(stack.address, options=options))
            stub = MessagesServiceStub(channel)
            call = stub.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=bearer(stack.home, "bob"))
            opened.callback(call.cancel)
            while "caught_up" not in [event.WhichOneof("event") for event in (await call.read()).events]:
                pass
            streams.append(call)
        yield streams


@asynccontextmanager
async def _called(stack: RunningStack) -> AsyncIterator[MessagesServiceStub]:
    async with grpc.aio.insecure_channel(stack.address, options=_OPTIONS) as channel:
        yield MessagesServiceStub(channel)


async def _send(stack: RunningStack, stub: MessagesServiceStub, request_id: str) -> int:
    answer = await stub.SendMessage(text("hello", request_id), metadata=bearer(stack.home, "alice"))
    return int(answer.message.seq)


async def _read(call: Any, seq: int) -> None:
    """Read a stream up to an entry."""
    while seq not in [event.seq for event in (await call.read()).events]:
        pass


async def _held(database: psycopg.AsyncConnection[Any], wait: str, sending: "asyncio.Future[int]") -> None:
    """Return when a write has waited for this in PostgreSQL, and its send takes long."""
    began = asyncio.get_running_loop().time()

    async def has_waited() -> bool:
        found = await database.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'chatkit committer'"
            " AND %s IN (wait_event, wait_event_type)",
            (wait,),
        )
        assert not sending.done()
        return await found.fetchone() is not None

    await until(has_waited)
    await _late(began)


async def _late(began: float) -> None:
    async def is_late() -> bool:
        return asyncio.get_running_loop().time() - began > _LATE_SECONDS

    await until(is_late)


async def _spans(stack: RunningStack, what: str) -> list[dict[str, Any]]:
    """Return the spans of all traces of a message: a replica that the bus has told nothing begins one of its own."""
    status, out, _ = await run_chatkit(stack, "trace", what, "--json")
    if status != 0:
        return []
    told = json.loads(out)
    others = [json.loads((await run_chatkit(stack, "trace", other, "--json"))[1])["spans"] for other in told["others"]]
    return [span for spans in (told["spans"], *others) for span in spans]


async def _longest(stack: RunningStack, seq: int, of: str, **attributes: object) -> dict[str, Any]:
    """Return the longest part of a span with these attributes in the traces of a message."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        spans = await _spans(stack, f"lobby/{seq}")
        wanted = (span for span in spans if span["name"] == of and attributes.items() <= span["attributes"].items())
        whole = {span["span_id"] for span in wanted}
        # Deliveries are parts of the send, but nobody has to wait for them.
        found[:] = [span for span in spans if span["parent_id"] in whole and span["name"] != "deliver"]
        return bool(found)

    await until(is_there)
    return max(found, key=lambda part: part["end_ns"] - part["start_ns"])


def _lines(stack: RunningStack, event: str, **wanted: object) -> list[dict[str, Any]]:
    """Return what the processes of messages have logged of this kind."""
    lines = [
        json.loads(line)
        for name in ("messages-1", "messages-2")
        for line in (stack.home.logs / f"{name}.log").read_text().splitlines()
        if line.startswith("{")
    ]
    return [line for line in lines if line["event"] == event and wanted.items() <= line.items()]


def _longest_stage(line: dict[str, Any]) -> str:
    stages: dict[str, float] = line["stages"]
    return max(stages, key=stages.__getitem__)


async def test_a_room_whose_head_somebody_has_locked(stack: RunningStack) -> None:
    async with _called(stack) as stub, await psycopg.AsyncConnection.connect(stack.superuser_dsn) as holding:
        # Before there is anything in a room, it has no head.
        await _send(stack, stub, "the first")
        async with holding.transaction():
            await holding.execute("SELECT 1 FROM messages.heads FOR UPDATE")
            sending = asyncio.ensure_future(_send(stack, stub, "locked"))
            async with await psycopg.AsyncConnection.connect(stack.superuser_dsn, autocommit=True) as watching:
                await _held(watching, "Lock", sending)
        seq = await sending
    found = await _longest(stack, seq, _SEND.strip("/"))
    assert found["name"] == "room's head"
    (line,) = _lines(stack, "call", trace_id=found["trace_id"])
    assert (line["method"], line["room"], _longest_stage(line)) == (_SEND, "lobby", "room's head")


async def test_a_database_that_is_slow(stack: RunningStack) -> None:
    async with (
        _called(stack) as stub,
        await psycopg.AsyncConnection.connect(stack.superuser_dsn, autocommit=True) as database,
    ):
        # Nobody of this name will ever say that it has what is committed.
        await database.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await database.execute("SELECT pg_reload_conf()")
        sending = asyncio.ensure_future(_send(stack, stub, "slow"))
        await _held(database, "SyncRep", sending)
        await database.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await database.execute("SELECT pg_reload_conf()")
        seq = await sending
    found = await _longest(stack, seq, _SEND.strip("/"))
    assert found["name"] == "write and commit"
    (line,) = _lines(stack, "call", trace_id=found["trace_id"])
    assert (line["method"], _longest_stage(line)) == (_SEND, "write and commit")


async def test_a_bus_that_stands_still(stack: RunningStack) -> None:
    sent: list[int] = []
    told: list[dict[str, Any]] = []

    # So many that both processes have some of them.
    async with _called(stack) as stub, _readers(stack, 8) as streams:

        async def is_told() -> bool:
            # How late it is depends on when the heads are looked at next, which may be at once.
            seq = await _send(stack, stub, f"unheard {len(sent)}")
            await asyncio.gather(*(_read(stream, seq) for stream in streams))
            sent.append(seq)
            told[:] = [line for line in _lines(stack, "delivery_late", is_healed=True) if line["seq"] in sent]
            return bool(told)

        stack.signal("nats", signal.SIGSTOP)
        try:
            await until(is_told)
        finally:
            stack.signal("nats", signal.SIGCONT)
    found = await _longest(stack, told[0]["seq"], "deliver", **{"chatkit.delivery.is_healed": True})
    assert found["name"] == "on its way"
    assert _longest_stage(told[0]) == "on its way"


async def test_a_reader_who_has_stopped(stack: RunningStack) -> None:
    async with _called(stack) as stub, _readers(stack, 1) as (stream,):
        part = part_pb2.Part(content_type="text/plain", content="x" * 5_000)
        request = pb2.BatchSendMessagesRequest()
        for number in range(100):
            request.requests.add(room_id="lobby", sender_id="alice", parts=[part], request_id=f"many {number}")
        await stub.BatchSendMessages(request, metadata=bearer(stack.home, None, su=True))
        seq = await _send(stack, stub, "unread")
        await _late(asyncio.get_running_loop().time())
        await _read(stream, seq)
    found = await _longest(stack, seq, "deliver", **{"chatkit.delivery.is_healed": False})
    assert found["name"] == "queue"
    # Of many that are late at once a few are told.
    assert "queue" in [_longest_stage(line) for line in _lines(stack, "delivery_late", is_healed=False)]
