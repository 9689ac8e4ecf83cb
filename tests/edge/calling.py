"""One call in three faces, what each is told when the edge refuses it, and whether a service heard of it."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from chatkit.users.v1 import users_service_pb2
from google.protobuf import json_format
from google.rpc import status_pb2

from services.runtime.contract.errors import ChatkitError, class_of, from_status
from tests.support import faces, tokens
from tests.support.edge import Edge
from tests.support.refusals import decode
from tests.support.suite import Suite

GET = "/chatkit.users.v1.UsersService/GetUser"
# The statuses of HTTP that reasons may have, where more than one is possible.
STATUS = {
    "METHOD_NOT_FOUND": {404, 405},
    "REQUEST_TOO_LARGE": {413, 431},
    "SERVICE_UNAVAILABLE": {503},
    "TOKEN_MISSING": {401},
    "TOKEN_EXPIRED": {401},
    "TOKEN_INVALID": {401},
    "RATE_EXCEEDED": {429},
    "DEADLINE_EXCEEDED": {504, 408},
    "FILE_IN_USE": {409},
}
FACES = ("grpc", "grpc-web", "json")


@dataclass(frozen=True)
class Told:
    """A refusal, as a client decodes it."""

    error: ChatkitError
    headers: dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call to make; GetUser of bob by alice unless said otherwise."""

    path: str = GET
    body: bytes = users_service_pb2.GetUserRequest(user_id="bob").SerializeToString()
    json: Any = None
    token: Callable[[], str | None] = lambda: tokens.token("alice")

    async def by(self, face: str, edge: Edge, **headers: str) -> Told | None:
        """Make the call and return what it was refused with; None when it was answered with OK."""
        token = self.token()
        match face:
            case "grpc":
                return await self._grpc(edge, token, headers)
            case "grpc-web":
                return await self._web(edge, token, headers)
        return await self._json(edge, token, headers)

    async def _grpc(self, edge: Edge, token: str | None, headers: dict[str, str]) -> Told | None:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel.unary_unary(self.path)
        try:
            await call(self.body, metadata=(*(tokens.bearer(token) if token else ()), *headers.items()))
        except grpc.aio.AioRpcError as error:
            texts = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
            return Told(decode(error), texts)
        return None

    async def _web(self, edge: Edge, token: str | None, headers: dict[str, str]) -> Told | None:
        answer = await edge.web(self.path, self.body, token, **headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/grpc-web+proto"
        if "grpc-status-details-bin" not in answer.headers:
            assert b"grpc-status:0" in answer.content
            return None
        decoded = from_status(status_pb2.Status.FromString(faces.details(answer.headers["grpc-status-details-bin"])))
        assert decoded is not None
        assert int(answer.headers["grpc-status"]) == decoded.code.value[0]
        return Told(decoded, dict(answer.headers))

    async def _json(self, edge: Edge, token: str | None, headers: dict[str, str]) -> Told | None:
        answer = await edge.json(self.path, {"userId": "bob"} if self.json is None else self.json, token, **headers)
        if answer.status_code == 200:
            return None
        decoded = from_status(json_format.ParseDict(answer.json(), status_pb2.Status()))
        assert decoded is not None, answer.text
        assert answer.status_code in STATUS.get(decoded.reason, {answer.status_code}), answer.text
        return Told(decoded, dict(answer.headers))


def heard(suite: Suite, path: str) -> int:
    """Count the calls of a method that services have answered, whatever they have answered."""
    answers = [server.handlers.answers for server in suite.servers.values()]
    return sum(count for answer in answers for (method, _), count in answer.items() if method == path)


@asynccontextmanager
async def unheard(suite: Suite) -> AsyncIterator[None]:
    """Check that no service hears anything while the context is open."""
    before = {name: server.handlers.answers for name, server in suite.servers.items()}
    yield
    for name, server in suite.servers.items():
        assert server.handlers.answers - before[name] == Counter(), name


async def refused(
    edge: Edge, call: Call, reason: str, attempts: int = 1, headers: Mapping[str, str] | None = None
) -> list[Told]:
    """Make a call in every face until it is refused, for this reason, with the same words, and unheard by services."""
    told = [await _refused_by(face, edge, call, attempts, headers or {}) for face in FACES]
    for one in told:
        assert one.error.reason == reason
        assert isinstance(one.error, class_of(reason))
        assert one.error.message == told[0].error.message
        assert one.error.metadata == told[0].error.metadata
        assert one.error.quota == told[0].error.quota
        assert one.error.retry_after == told[0].error.retry_after
    return told


async def _refused_by(face: str, edge: Edge, call: Call, attempts: int, headers: Mapping[str, str]) -> Told:
    for _ in range(attempts):
        before = heard(edge.suite, call.path)
        if (told := await call.by(face, edge, **headers)) is not None:
            assert heard(edge.suite, call.path) == before, f"{face}: a service has heard of it"
            return told
    raise AssertionError(f"{face}: not refused")
