"""The judge is able to say no: each kind of finding, of a suite that is made to be at fault."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import grpc
import pytest

from services.runtime.contract.errors import DETAILS_KEY, NotFound, to_status
from services.runtime.contract.policies import Limits
from services.stack.fuzz.inputs import Answer, End, Face, Input
from services.stack.fuzz.judge import Rule, judged
from services.stack.fuzz.making import heads
from services.stack.fuzz.making.callers import Signing
from services.stack.fuzz.making.known import Known
from services.stack.fuzz.making.maker import Maker
from services.stack.fuzz.making.octets import framed
from services.stack.fuzz.run import Fuzzing, Report
from services.stack.fuzz.sending import Sending
from services.stack.fuzz.watching.holdings import Holding, grown
from services.stack.fuzz.watching.logs import Logs
from services.stack.home import Home
from services.stack.machine.processes import Program
from services.stack.machine.supervisor import Child
from tests.support.eventually import eventually

_ANSWER_SECONDS = 0.5
_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class _Faulty(grpc.GenericRpcHandler):
    """Answers each method as its name says."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(getattr(self, details.method.rpartition("/")[2]))

    async def Right(self, _request: bytes, _context: _Context) -> bytes:
        return b""

    async def Refused(self, _request: bytes, context: _Context) -> NoReturn:
        status = to_status(NotFound("ROOM_NOT_FOUND", "there is no such room"))
        context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
        await context.abort(grpc.StatusCode.NOT_FOUND, status.message)

    async def Internal(self, _request: bytes, context: _Context) -> NoReturn:
        await context.abort(grpc.StatusCode.INTERNAL, "something is broken")

    async def Raises(self, _request: bytes, _context: _Context) -> NoReturn:
        raise ValueError("nobody takes care of it")

    async def Unexplained(self, _request: bytes, context: _Context) -> NoReturn:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no")

    async def OtherCode(self, _request: bytes, context: _Context) -> NoReturn:
        status = to_status(NotFound("ROOM_NOT_FOUND", "there is no such room"))
        context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
        await context.abort(grpc.StatusCode.ABORTED, status.message)

    async def Hangs(self, _request: bytes, _context: _Context) -> bytes:
        await asyncio.get_running_loop().create_future()
        return b""


@asynccontextmanager
async def _faulty(home: Home) -> AsyncIterator[tuple[Fuzzing, Report]]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Faulty(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    report = Report(1)
    sending = Sending({"rooms": f"127.0.0.1:{port}"}, Signing(home), _ANSWER_SECONDS)
    try:
        yield Fuzzing(Maker(1, Limits(), Known()), sending, report, lambda: True), report
    finally:
        await server.stop(None)


def _input(method: str, face: Face = Face.SERVICES) -> Input:
    body = framed(b"")
    head = heads.of_call(face, f"/chatkit.Faulty/{method}", len(body))
    return Input(1, 2, face, "rooms", method, "example", "alice", head, body)


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        ("Right", None),
        ("Refused", None),
        ("Internal", Rule.FAILED),
        ("Raises", Rule.FAILED),
        ("Unexplained", Rule.UNEXPLAINED),
        ("OtherCode", Rule.UNEXPLAINED),
        ("Hangs", Rule.HANGING),
    ],
)
async def test_an_answer_is_found_that_should_not_be(method: str, rule: Rule | None, home: Home) -> None:
    async with _faulty(home) as (fuzzing, report):
        await fuzzing.send(_input(method))
    found = list(report.findings.values())
    assert [one.rule for one in found] == ([rule] if rule else [])
    assert all(one.sent == _input(method) and one.sent.repeat.endswith("--seed 1 --only 2") for one in found)
    assert report.calls == 1


async def test_who_hangs_up_without_an_answer_is_found(home: Home) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        report = Report(1)
        sending = Sending({"rooms": f"{host}:{port}"}, Signing(home), _ANSWER_SECONDS)
        fuzzing = Fuzzing(Maker(1, Limits(), Known()), sending, report, lambda: True)
        for face in (Face.SERVICES, Face.JSON):
            await fuzzing.send(_input("x", face))
    assert [(one.rule, one.times) for one in report.findings.values()] == [(Rule.CUT, 2)]


async def test_a_process_that_ends_is_found_with_what_was_under_way(tmp_path: Path) -> None:
    report = Report(1)
    report.open = {5: _input("x"), 3: _input("x")}
    program = Program("rooms", (sys.executable, "-c", "raise SystemExit(3)"), {}, "127.0.0.1:1")
    child = Child(program, tmp_path / "rooms.log", report.hear, lambda: None)
    await child.start()
    keeping = asyncio.create_task(child.keep_alive())
    await eventually(lambda: report.findings)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await child.stop(1.0)
    found = next(iter(report.findings.values()))
    assert (found.rule, found.where) == (Rule.ENDED, "rooms")
    assert "exit status 3" in found.what
    assert found.what.endswith("under way: 3, 5")


def _refusal(status: int, code: int, reason: str) -> Answer:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "chatkit"}]
    body = json.dumps({"code": code, "message": "no", "details": details}).encode()
    return Answer(End.ANSWERED, status, {"content-type": "application/json"}, body)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (Answer(End.ANSWERED, 200, {}, b"{}"), None),
        (_refusal(404, 5, "ROOM_NOT_FOUND"), None),
        (_refusal(404, 5, "NO_SUCH_REASON"), Rule.UNEXPLAINED),
        (_refusal(500, 13, "INTERNAL"), Rule.FAILED),
        (_refusal(503, 14, "SERVICE_UNAVAILABLE"), Rule.ABSENT),
        (_refusal(504, 4, "DEADLINE_EXCEEDED"), Rule.HANGING),
        (Answer(End.ANSWERED, 404, {}, b"Not Found"), Rule.UNEXPLAINED),
        (Answer(End.ANSWERED, 502, {}, b""), Rule.FAILED),
        (Answer(End.CLOSED), Rule.CUT),
    ],
)
def test_an_answer_in_json_is_judged(answer: Answer, rule: Rule | None) -> None:
    assert judged(_input("x", Face.JSON), answer).broken is rule


def test_trailers_of_grpc_web_are_read_in_both_its_forms() -> None:
    trailers = b"grpc-status: 13\r\ngrpc-message: broken\r\n"
    body = b"\0\0\0\0\2ab\x80" + len(trailers).to_bytes(4, "big") + trailers
    answer = Answer(End.ANSWERED, 200, {"content-type": "application/grpc-web+proto"}, body)
    assert judged(_input("x", Face.WEB), answer).broken is Rule.FAILED
    text = b"AAAAAAJhYoA=" + b"AAAAJmdycGMtc3RhdHVzOiAxMw0KZ3JwYy1tZXNzYWdlOiBicm9rZW4NCg=="
    answer = Answer(End.ANSWERED, 200, {"content-type": "application/grpc-web-text"}, text)
    assert judged(_input("x", Face.WEB), answer).code == "INTERNAL"


def test_a_traceback_in_a_log_is_found_once_also_when_the_log_was_renamed(tmp_path: Path) -> None:
    log = tmp_path / "rooms.log"
    log.write_text("Traceback (most recent call last)\n  before\nValueError: old\n")
    logs = Logs(tmp_path)
    logs.skip()
    told = json.dumps({"event": "call", "exception": "Traceback (most recent call last):\n  x\nKeyError: 1"})
    with log.open("a") as file:
        file.write(f'{{"event": "call"}}\n{told}\nTask failed\nTraceback (most recent call last):\n  y\nTypeError: 2\n')
    log.rename(tmp_path / "rooms.log.1")
    log.write_text("")
    assert [(name, text.split("\n")[-1]) for name, text in logs.failures()] == [
        ("rooms", "KeyError: 1"),
        ("rooms", "TypeError: 2"),
    ]
    assert not list(logs.failures())


def test_what_is_not_given_back_is_told() -> None:
    before = {"rooms": Holding(100_000_000, 50, 10, 3), "users": Holding(100_000_000, 50, 10, 3)}
    after = {"rooms": Holding(300_000_000, 500, 100, 300), "users": Holding(110_000_000, 55, 11, 4)}
    assert [line.split(" and ")[0] for line in grown(before, after)] == [
        "rooms holds 300,000,000 bytes of memory,",
        "rooms holds 500 descriptors,",
        "rooms holds 100 threads,",
        "rooms holds 300 open streams,",
    ]
