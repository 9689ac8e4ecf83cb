"""What gRPC clients load: it follows the contract, and gRPC itself obeys it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.users.v1 import user_pb2, users_service_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from services.edge import public
from services.edge.process import main
from services.edge.rendering.service_config import service_config, to_json
from tests.support.eventually import HANG_SECONDS

_CHECKED_IN = Path(__file__).parents[2] / "protos" / "chatkit.service_config.json"


def _rules() -> dict[str, dict[str, Any]]:
    """Return what the checked-in file says of each method, by its path."""
    found: dict[str, dict[str, Any]] = {}
    for group in json.loads(_CHECKED_IN.read_text())["methodConfig"]:
        for name in group["name"]:
            path = f"/{name['service']}/{name['method']}"
            assert path not in found, f"{path} stands there twice"
            found[path] = {key: value for key, value in group.items() if key != "name"}
    return found


def test_the_file_that_is_checked_in_is_what_the_contract_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service-config"]) == 0
    assert _CHECKED_IN.read_text() == capsys.readouterr().out == to_json(service_config()), (
        "run: .venv/bin/python -m services.edge service-config > protos/chatkit.service_config.json"
    )


def test_deadlines_and_repeats_are_those_of_the_options() -> None:
    rules = _rules()
    assert set(rules) == {method.path for _, method in public.methods()}
    for _, method in public.methods():
        told = rules[method.path]
        if method.streams:
            assert told == {}, f"{method.path} is resumed, not repeated"
            continue
        assert float(told["timeout"].removesuffix("s")) * 1000 == method.policy.deadline_ms
        assert ("retryPolicy" in told) == method.policy.repeatable, method.path
    assert rules["/chatkit.users.v1.UsersService/GetUser"]["retryPolicy"] == {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }


def test_names_are_sorted() -> None:
    for group in json.loads(_CHECKED_IN.read_text())["methodConfig"]:
        assert group["name"] == sorted(group["name"], key=lambda name: (name["service"], name["method"]))


class Flaky(grpc.GenericRpcHandler):
    """Answers UNAVAILABLE as often as it is told, or never answers, and counts the calls that arrive."""

    def __init__(self, failures: int, *, answers: bool = True) -> None:
        self.calls: Counter[str] = Counter()
        self._failures = failures
        self._answers = answers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Answer every method alike."""
        path = handler_call_details.method

        async def answer(_request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            self.calls[path] += 1
            if self.calls[path] <= self._failures:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            if not self._answers:
                await asyncio.Event().wait()
            user = user_pb2.User(id="bob")
            return users_service_pb2.GetUserResponse(user=user).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def _calling(handler: Flaky, config: str) -> AsyncIterator[UsersServiceStub]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = (("grpc.service_config", config),)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield UsersServiceStub(channel)
    finally:
        await server.stop(None)


async def test_grpc_repeats_a_repeatable_call() -> None:
    handler = Flaky(failures=2)
    async with _calling(handler, _CHECKED_IN.read_text()) as users:
        answer = await users.GetUser(users_service_pb2.GetUserRequest(user_id="bob"))
    assert answer.user.id == "bob"
    assert handler.calls["/chatkit.users.v1.UsersService/GetUser"] == 3


async def test_grpc_does_not_repeat_what_would_be_done_twice() -> None:
    handler = Flaky(failures=1)
    async with _calling(handler, _CHECKED_IN.read_text()) as users:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await users.CreateUser(users_service_pb2.CreateUserRequest(id="bob", name="Bob"))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert handler.calls["/chatkit.users.v1.UsersService/CreateUser"] == 1


async def test_grpc_ends_a_call_that_takes_longer_than_the_file_says() -> None:
    handler = Flaky(failures=0, answers=False)
    # gRPC's core ends such a call a second too early, so that the contract's ten seconds are nine in Python.
    quick = _CHECKED_IN.read_text().replace('"10s"', '"1.2s"')
    async with asyncio.timeout(HANG_SECONDS), _calling(handler, quick) as users:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await users.GetUser(users_service_pb2.GetUserRequest(user_id="bob"))
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("config", ["{}", _CHECKED_IN.read_text().replace('"UNAVAILABLE"', '"ABORTED"')])
async def test_it_is_the_file_that_makes_grpc_repeat(config: str) -> None:
    handler = Flaky(failures=1)
    async with _calling(handler, config) as users:
        with pytest.raises(grpc.aio.AioRpcError):
            await users.GetUser(users_service_pb2.GetUserRequest(user_id="bob"))
    assert sum(handler.calls.values()) == 1
