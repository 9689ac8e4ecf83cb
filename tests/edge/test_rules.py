"""Each rule of the edge: what breaks it is refused in every face and unheard by services; without the rule, one hears.

The rules are taken out of the rendering by tests.support.edge_without, and Envoy is run with what is left.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chatkit.internal.access.v1 import access_service_pb2
from chatkit.messages.v1 import messages_service_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from chatkit.users.v1 import users_service_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from tests.edge.calling import FACES, GET, Call, heard, refused, unheard
from tests.support import http2, tokens
from tests.support.backend import silent_backend
from tests.support.edge import running_edge
from tests.support.eventually import HANG_SECONDS, until
from tests.support.suite import Suite

_SUBSCRIBE = "/chatkit.messages.v1.MessagesService/SubscribeRoom"
_UNICODE = "\N{LATIN SMALL LETTER E WITH ACUTE}\N{CYRILLIC SMALL LETTER ZHE}\N{GRINNING FACE} d'Arc"
_LARGE = "x" * 65_536


@dataclass(frozen=True)
class Case:
    """A way to break a rule."""

    rule: str
    reason: str
    call: Call
    settings: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    # How many calls it takes at the most until the rule is broken.
    attempts: int = 1


def _other_secret() -> str:
    return tokens.forged("alice", secret="not the secret of any key, and as long as one")


def _nobody() -> None:
    return None


CASES = {
    "no token": Case("tokens", "TOKEN_MISSING", Call(token=_nobody)),
    "a forged token": Case("tokens", "TOKEN_INVALID", Call(token=_other_secret)),
    "another instance's token": Case(
        "claims", "TOKEN_INVALID", Call(token=lambda: tokens.forged("alice", instance="another"))
    ),
    "an unrouted method": Case(
        "routes",
        "METHOD_NOT_FOUND",
        Call(
            path="/chatkit.internal.access.v1.AccessService/CheckAccess",
            body=access_service_pb2.CheckAccessRequest(room_id="lobby", user_id="alice").SerializeToString(),
        ),
    ),
    "too many calls": Case(
        "rates",
        "RATE_EXCEEDED",
        Call(),
        settings={"CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND": "1"},
        metadata={"limit": "REQUESTS_PER_USER_PER_SECOND", "maximum": "1"},
        attempts=20,
    ),
    "a body that is one byte too long": Case(
        "sizes",
        "REQUEST_TOO_LARGE",
        Call(
            # A field's number and its length take four bytes here.
            body=users_service_pb2.GetUserRequest(user_id=_LARGE[:-3]).SerializeToString(),
            json={"userId": _LARGE[:-3]},
        ),
        metadata={"limit": "REQUEST_BYTES", "maximum": "65536"},
    ),
    "a body that is much too long": Case(
        "sizes",
        "REQUEST_TOO_LARGE",
        Call(
            body=users_service_pb2.GetUserRequest(user_id=_LARGE * 3).SerializeToString(), json={"userId": _LARGE * 3}
        ),
        metadata={"limit": "REQUEST_BYTES", "maximum": "65536"},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_breaks_a_rule_is_refused_and_no_service_hears_of_it(
    name: str, suite: Suite, short_path: Path
) -> None:
    case = CASES[name]
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, **case.settings) as edge:
        for told in await refused(edge, case.call, case.reason, case.attempts):
            assert told.error.metadata == case.metadata


@pytest.mark.parametrize("name", CASES)
async def test_without_the_rule_a_service_hears_of_it(name: str, suite: Suite, short_path: Path) -> None:
    case = CASES[name]
    async with running_edge(suite, short_path, case.rule, **case.settings) as edge:
        before = heard(suite, case.call.path)
        for _ in range(case.attempts):
            await case.call.by("grpc", edge)
        assert heard(suite, case.call.path) == before + case.attempts


async def test_a_body_of_just_the_size_is_let_through(suite: Suite, short_path: Path) -> None:
    body = users_service_pb2.GetUserRequest(user_id=_LARGE[:-4]).SerializeToString()
    assert len(body) == 65_536
    async with running_edge(suite, short_path) as edge:
        for face in FACES:
            before = heard(suite, GET)
            told = await Call(body=body, json={"userId": _LARGE[:-4]}).by(face, edge)
            assert told is not None
            assert told.error.reason != "REQUEST_TOO_LARGE"
            assert heard(suite, GET) == before + 1


@pytest.mark.parametrize("face", FACES)
async def test_a_call_that_is_never_answered_ends_at_its_deadline(face: str, suite: Suite, short_path: Path) -> None:
    async with (
        silent_backend() as address,
        running_edge(suite, short_path, "short deadlines", CHATKIT_USERS_ADDRESS=address) as edge,
        unheard(suite),
        asyncio.timeout(HANG_SECONDS),
    ):
        told = await Call().by(face, edge)
    assert told is not None
    assert told.error.reason == "DEADLINE_EXCEEDED"


async def test_without_deadlines_it_would_wait_for_ever(suite: Suite, short_path: Path) -> None:
    async with (
        silent_backend() as address,
        running_edge(suite, short_path, "deadlines", CHATKIT_USERS_ADDRESS=address) as edge,
        http2.connected(edge.address) as connection,
    ):
        waiting = await connection.call(GET, Call().body, *tokens.user("alice"))
        # Four times as long as the calls above took, by the clock of the same Envoy, and on the same connection.
        other = await connection.call(GET, Call().body, *tokens.user("alice"), ("grpc-timeout", "2S"))
        await connection.until(lambda: connection.answers[other].ended)
        assert connection.answers[other].headers["grpc-status"] == "4"
        assert connection.answers[waiting] == http2.Answer()


@pytest.mark.parametrize(
    "asked",
    [
        {"grpc-timeout": "8H"},
        {"x-envoy-upstream-rq-timeout-ms": "3600000"},
        {"x-envoy-upstream-rq-timeout-ms": "0", "x-envoy-expected-rq-timeout-ms": "3600000"},
    ],
    ids=",".join,
)
async def test_a_client_can_not_ask_for_a_longer_deadline(
    asked: dict[str, str], suite: Suite, short_path: Path
) -> None:
    async with (
        silent_backend() as address,
        running_edge(suite, short_path, "short deadlines", CHATKIT_USERS_ADDRESS=address) as edge,
        http2.connected(edge.address) as connection,
    ):
        stream = await connection.call(GET, Call().body, *tokens.user("alice"), *asked.items())
        await connection.until(lambda: connection.answers[stream].ended)
    assert connection.answers[stream].headers["grpc-status"] == "4"


async def test_a_client_can_ask_for_a_shorter_deadline(suite: Suite, short_path: Path) -> None:
    async with (
        silent_backend() as address,
        # Nothing but the client's deadline can end the call.
        running_edge(suite, short_path, "deadlines", CHATKIT_USERS_ADDRESS=address) as edge,
        http2.connected(edge.address) as connection,
    ):
        stream = await connection.call(GET, Call().body, *tokens.user("alice"), ("grpc-timeout", "300m"))
        await connection.until(lambda: connection.answers[stream].ended)
    assert connection.answers[stream].headers["grpc-status"] == "4"
    assert "grpc-status-details-bin" in connection.answers[stream].headers


@pytest.mark.parametrize(("without", "is_heard"), [("", False), ("streams", True)])
async def test_one_stream_more_than_allowed_is_cut_off(
    without: str, is_heard: bool, suite: Suite, short_path: Path
) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice")
    request = messages_service_pb2.SubscribeRoomRequest(room_id="lobby").SerializeToString()
    async with (
        running_edge(suite, short_path, without, CHATKIT_LIMIT_STREAMS_PER_CONNECTION="2") as edge,
        http2.connected(edge.address) as connection,
    ):
        streams = [await connection.call(_SUBSCRIBE, request, *tokens.user("alice")) for _ in range(2)]
        await connection.until(lambda: all(connection.answers[stream].body for stream in streams))
        before = heard(suite, GET)
        third = connection.answers[await connection.call(GET, Call().body, *tokens.user("alice"))]
        await connection.until(lambda: third.ended or third.reset is not None or connection.closed)
        assert heard(suite, GET) == before + is_heard
        assert third.ended == is_heard


async def test_a_polite_client_waits_until_a_stream_has_ended(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice")
    request = messages_service_pb2.SubscribeRoomRequest(room_id="lobby")
    async with running_edge(suite, short_path, CHATKIT_LIMIT_STREAMS_PER_CONNECTION="2") as edge:
        subscribe, users = MessagesServiceStub(edge.channel).SubscribeRoom, UsersServiceStub(edge.channel)
        streams = [subscribe(request, metadata=tokens.user("alice")) for _ in range(2)]
        for stream in streams:
            await stream.read()
        async with unheard(suite):
            call = users.GetUser(users_service_pb2.GetUserRequest(user_id="bob"), metadata=tokens.user("alice"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(_result(call)), timeout=0.5)
        streams[0].cancel()
        assert (await call).user.id == "bob"
        streams[1].cancel()


async def _result(call: Awaitable[object]) -> object:
    return await call


async def test_headers_over_the_limit_are_refused(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path) as edge, unheard(suite):
        answer = await edge.json(GET, {"userId": "bob"}, tokens.token("alice"), pad="x" * 40_000)
        assert answer.status_code == 431
        info = answer.json()["details"][0]
        assert info["reason"] == "REQUEST_TOO_LARGE"
        assert info["metadata"] == {"limit": "HEADERS_BYTES", "maximum": "32768"}
        async with http2.connected(edge.address) as connection:
            # Envoy can't answer them over HTTP/2, where it stops reading them: the stream is reset.
            stream = await connection.call(GET, Call().body, *tokens.user("alice"), ("a", "x" * 40_000))
            await connection.until(lambda: connection.answers[stream].reset is not None)


async def test_without_the_limit_they_would_get_through(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, "headers") as edge:
        answer = await edge.json(GET, {"userId": "bob"}, tokens.token("alice"), pad="x" * 40_000)
        assert answer.status_code != 431


async def test_who_waits_as_long_as_a_rate_says_is_let_through(suite: Suite, short_path: Path) -> None:
    path = "/chatkit.rooms.v1.RoomsService/ListUserRooms"
    listing = Call(path=path, body=b"", json={})
    async with running_edge(suite, short_path, CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="10") as edge:
        # A listing counts as five calls, of which half a second gives as many.
        for call, seconds in ((Call(), 0.1), (listing, 0.5)):
            told = None
            while told is None or told.error.reason != "RATE_EXCEEDED":
                told = await call.by("grpc", edge)
            assert told.error.retry_after is not None
            assert told.error.retry_after.total_seconds() == seconds
            assert told.headers["retry-after"] == "1"
            await asyncio.sleep(seconds)
            told = await call.by("grpc", edge)
            assert told is None or told.error.reason != "RATE_EXCEEDED"


async def test_a_user_over_the_rate_is_told_when_to_come_back_and_others_are_not_affected(
    suite: Suite, short_path: Path
) -> None:
    await suite.make_users("alice", "bob", _UNICODE)
    async with running_edge(suite, short_path, CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="1") as edge:
        for user in ("alice", _UNICODE):
            for told in await refused(edge, _by(user), "RATE_EXCEEDED", 20):
                assert told.error.retry_after is not None
                assert told.error.retry_after.total_seconds() == 1
                assert told.error.quota[0].field == "REQUESTS_PER_USER_PER_SECOND"
                assert told.headers["retry-after"] == "1"
        # Others still have their whole burst.
        assert await _by("bob").by("grpc", edge) is None
        assert await Call(token=lambda: tokens.token(None, su=True)).by("grpc", edge) is None
        # Who claims to be another by a header is still counted as what the token says.
        claims = {"x-chatkit-user": "carol", "x-user-id": "carol", "sub": "carol", "x-jwt-payload": "carol"}
        await refused(edge, _by("alice"), "RATE_EXCEEDED", 20, claims)

        async def is_welcome() -> bool:
            return await _by("alice").by("json", edge) is None

        await until(is_welcome)


def _by(user: str) -> Call:
    return Call(token=lambda: tokens.token(user))


@pytest.mark.parametrize(("rate", "admitted"), [(50, 20), (2, 2)])
async def test_a_call_counts_as_many_as_its_method_costs_and_never_more_than_a_second_gives(
    rate: int, admitted: int, suite: Suite, short_path: Path
) -> None:
    await suite.make_users("alice", "bob", "carol")
    costly = Call("/chatkit.rooms.v1.RoomsService/ListUserRooms", b"", {})
    burst = 2 * rate
    async with running_edge(suite, short_path, "refills", CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND=str(rate)) as edge:
        for _ in range(admitted):
            assert await costly.by("grpc", edge) is None
        for told in await refused(edge, costly, "RATE_EXCEEDED"):
            assert told.error.metadata == {"limit": "REQUESTS_PER_USER_PER_SECOND", "maximum": str(rate)}
        for _ in range(burst):
            assert await _by("carol").by("grpc", edge) is None
        await refused(edge, _by("carol"), "RATE_EXCEEDED")


async def test_sends_have_a_rate_of_their_own(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    send = Call(
        path="/chatkit.messages.v1.MessagesService/SendMessage",
        body=messages_service_pb2.SendMessageRequest(
            room_id="lobby", request_id="one", parts=[{"content_type": "text/plain", "content": "hello"}]
        ).SerializeToString(),
        json={"roomId": "lobby", "requestId": "one", "parts": [{"contentType": "text/plain", "content": "hello"}]},
    )
    async with running_edge(suite, short_path, "refills", CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND="1") as edge:
        for told in await refused(edge, send, "RATE_EXCEEDED", 3):
            assert told.error.metadata == {"limit": "SENDS_PER_USER_PER_SECOND", "maximum": "1"}
        for _ in range(20):
            assert await Call().by("grpc", edge) is None


async def test_a_superuser_without_a_subject_has_no_rate(suite: Suite, short_path: Path) -> None:
    await suite.make_users("bob")
    async with running_edge(suite, short_path, "refills", CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="1") as edge:
        for _ in range(20):
            assert await Call(token=lambda: tokens.token(None, su=True)).by("grpc", edge) is None
