"""Who a service takes a caller for, over the wire: only what stands in the token, signed with a key in force."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.users.v1 import users_service_pb2 as pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from pydantic import SecretStr

from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.tokens import mint_service_token
from services.runtime.process.server import Server
from services.users.settings import UsersSettings
from tests.support import keys, tokens
from tests.support.clock import ManualClock
from tests.support.refusals import refused
from tests.support.suite import BUILDS
from tests.support.tokens import Metadata, bearer

# Where there is no database, this is the answer to whoever was let in.
LET_IN = "DATABASE_UNAVAILABLE"
POLL_SECONDS = 2.0
NEXT = ApiKey("next", "the next secret between services, which is long enough")


@pytest.fixture
def clock() -> ManualClock:
    """Stand still, so that keys are looked at when the test says."""
    return ManualClock()


@pytest.fixture
async def server(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Server]:
    """Run users with nobody else."""
    keys_file, service_keys_file = tokens.write_keys(tmp_path)
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    told = UsersSettings(
        database_url=SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none"),
        instance=tokens.INSTANCE,
        keys_file=keys_file,
        jwks_file=tmp_path / "jwks.json",
        service_keys_file=service_keys_file,
        keys_poll_interval_seconds=POLL_SECONDS,
        shutdown_grace_seconds=0,
        limit_overrides={"HEADERS_BYTES": 16_384},
    )
    async with BUILDS["users"](told, clock) as running:
        yield running


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """Connect to users."""
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


def _su(clock: ManualClock, key: ApiKey = tokens.KEY) -> Metadata:
    return bearer(tokens.token(None, su=True, now=clock.now(), key=key))


def _service(clock: ManualClock, key: ApiKey = tokens.SERVICE_KEY, peer: str = "users") -> Metadata:
    return bearer(mint_service_token(key, "rooms", peer, clock.now()))


def _get(channel: grpc.aio.Channel, metadata: Metadata) -> Any:
    stub: Any = UsersServiceStub(channel)
    return stub.GetUser(pb2.GetUserRequest(user_id="alice"), metadata=metadata)


def _resolve(channel: grpc.aio.Channel, metadata: Metadata) -> Any:
    stub: Any = DirectoryServiceStub(channel)
    return stub.ResolveUsers(directory_pb2.ResolveUsersRequest(user_ids=["alice"]), metadata=metadata)


async def test_a_services_token_is_good_for_the_service_that_it_names_and_for_internal_methods(
    channel: grpc.aio.Channel, clock: ManualClock
) -> None:
    await refused(_resolve(channel, _service(clock)), LET_IN)
    for peer in ("rooms", "edge", ""):
        await refused(_resolve(channel, _service(clock, peer=peer)), "TOKEN_INVALID")
    await refused(_get(channel, _service(clock)), "TOKEN_INVALID")
    # A customer's key can't mint one, and a customer's token opens nothing internal, with `su` or without.
    await refused(_resolve(channel, _service(clock, tokens.KEY)), "TOKEN_INVALID")
    await refused(_resolve(channel, _su(clock)), "SERVICE_REQUIRED")
    await refused(_resolve(channel, bearer(tokens.token("alice", now=clock.now()))), "SERVICE_REQUIRED")
    longer = {
        "iss": "services/rooms",
        "aud": "users",
        "iat": int(clock.now().timestamp()),
        "exp": int((clock.now() + timedelta(minutes=5)).timestamp()),
    }
    signed = jwt.encode(longer, tokens.SERVICE_KEY.secret, "HS256", headers={"kid": tokens.SERVICE_KEY.id})
    await refused(_resolve(channel, bearer(signed)), "TOKEN_INVALID")


async def test_a_token_anywhere_but_in_authorization_is_none(channel: grpc.aio.Channel, clock: ManualClock) -> None:
    token = tokens.token(None, su=True, now=clock.now())
    for name in ("access_token", "token", "x-authorization", "proxy-authorization", "cookie", "grpc-authorization"):
        await refused(_get(channel, ((name, f"Bearer {token}"),)), "TOKEN_MISSING")
    for text in (token, f"Basic {token}", f"Bearer{token}"):
        await refused(_get(channel, (("authorization", text),)), "TOKEN_INVALID")
    path = f"/chatkit.users.v1.UsersService/GetUser?access_token={token}"
    queried: Any = channel.unary_unary(path)
    await refused(queried(b""), "METHOD_NOT_FOUND")


async def test_a_header_that_claims_an_identity_changes_nothing(channel: grpc.aio.Channel, clock: ManualClock) -> None:
    claims = (
        ("x-chatkit-user", "root"),
        ("x-user-id", "root"),
        ("x-forwarded-user", "root"),
        ("x-jwt-payload", json.dumps({"sub": "root", "su": True})),
        ("x-chatkit-su", "true"),
        ("su", "true"),
        ("sub", "root"),
        ("x-chatkit-service", "rooms"),
    )
    await refused(_get(channel, claims), "TOKEN_MISSING")
    as_user = bearer(tokens.token("alice", now=clock.now()))
    stub: Any = UsersServiceStub(channel)
    for metadata in ((*as_user, *claims), (*claims, *as_user)):
        await refused(stub.CreateUser(pb2.CreateUserRequest(id="x", name="x"), metadata=metadata), "SUPERUSER_REQUIRED")
        await refused(
            stub.UpdateUser(pb2.UpdateUserRequest(user_id="root", name="x"), metadata=metadata), "SUBJECT_MISMATCH"
        )
        await refused(_resolve(channel, metadata), "SERVICE_REQUIRED")


async def test_headers_may_be_as_large_as_the_limit_says(channel: grpc.aio.Channel, clock: ManualClock) -> None:
    await refused(_get(channel, (*_su(clock), ("x-more", "x" * 15_000))), LET_IN)
    for _ in range(10):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _get(channel, (*_su(clock), ("x-more", "x" * 16_500)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_new_key_works_and_a_removed_one_is_refused_without_a_restart(
    channel: grpc.aio.Channel, clock: ManualClock, tmp_path: Path
) -> None:
    await refused(_get(channel, _su(clock)), LET_IN)
    await refused(_get(channel, _su(clock, tokens.SECOND_KEY)), "TOKEN_INVALID")
    tokens.write(tmp_path / "keys.json", tokens.SECOND_KEY)
    await clock.advance(POLL_SECONDS)
    # Also the token that was verified before.
    await refused(_get(channel, _su(clock)), "TOKEN_INVALID")
    await refused(_get(channel, _su(clock, tokens.SECOND_KEY)), LET_IN)
    (tmp_path / "keys.json").write_text("half a fi")
    await clock.advance(POLL_SECONDS)
    await refused(_get(channel, _su(clock, tokens.SECOND_KEY)), LET_IN)


async def test_public_keys_come_and_go_without_a_restart(
    channel: grpc.aio.Channel, clock: ManualClock, tmp_path: Path
) -> None:
    private = keys.generate("ES256")
    now = int(clock.now().timestamp())
    claims = {"instance": tokens.INSTANCE, "iss": "api_keys/p", "su": True, "iat": now, "exp": now + 3600}
    metadata = bearer(jwt.encode(claims, private, "ES256"))
    for listed, reason in (([], "TOKEN_INVALID"), ([keys.jwk(private, "p")], LET_IN), ([], "TOKEN_INVALID")):
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": listed}))
        await clock.advance(POLL_SECONDS)
        await refused(_get(channel, metadata), reason)


async def test_the_services_own_keys_are_exchanged_without_a_restart(
    channel: grpc.aio.Channel, server: Server, clock: ManualClock, tmp_path: Path
) -> None:
    alice, asked = server._verifier.verify(_su(clock)[0][1].removeprefix("Bearer ")), pb2.ListUsersRequest()
    old_page = server.page_tokens.make(alice, asked, ["x"])
    await refused(_resolve(channel, _service(clock)), LET_IN)
    assert jwt.get_unverified_header(server._tokens.for_peer("rooms"))["kid"] == tokens.SERVICE_KEY.id

    tokens.write(tmp_path / "service_keys.json", NEXT, tokens.SERVICE_KEY)
    await clock.advance(POLL_SECONDS)
    for key in (NEXT, tokens.SERVICE_KEY):
        await refused(_resolve(channel, _service(clock, key)), LET_IN)
    assert jwt.get_unverified_header(server._tokens.for_peer("rooms"))["kid"] == NEXT.id
    new_page = server.page_tokens.make(alice, asked, ["x"])
    assert new_page != old_page
    for token in (old_page, new_page):
        assert server.page_tokens.read(alice, pb2.ListUsersRequest(page_token=token)) == ["x"]

    tokens.write(tmp_path / "service_keys.json", NEXT)
    await clock.advance(POLL_SECONDS)
    await refused(_resolve(channel, _service(clock)), "TOKEN_INVALID")
    await refused(_resolve(channel, _service(clock, NEXT)), LET_IN)
    listing: Any = UsersServiceStub(channel)
    listed = listing.ListUsers(pb2.ListUsersRequest(page_token=old_page), metadata=_su(clock))
    await refused(listed, "PAGE_TOKEN_INVALID")
