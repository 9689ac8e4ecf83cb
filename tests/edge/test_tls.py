"""Encryption on both sides of the edge: what clients see, what services ask for, and certificates that are renewed."""

import asyncio
import ssl
from pathlib import Path

import grpc
import httpx
import pytest
from chatkit.users.v1 import users_service_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from tests.edge.calling import FACES, Call
from tests.support import tokens
from tests.support.backend import running_backend
from tests.support.certificates import Authority, Pair
from tests.support.edge import Edge, running_edge
from tests.support.eventually import until
from tests.support.suite import Suite


async def _seen(edge: Edge, authority: Authority, *protocols: str) -> tuple[bytes, str | None]:
    """Return the certificate that the edge shows, and the protocol that it chose."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(list(protocols or ("h2",)))
    host, _, port = edge.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="chat.example")
    spoken: ssl.SSLObject = writer.get_extra_info("ssl_object")
    shown, protocol = spoken.getpeercert(binary_form=True), spoken.selected_alpn_protocol()
    writer.close()
    assert shown is not None
    return shown, protocol


async def test_clients_talk_tls_and_a_renewed_certificate_needs_no_restart(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    authority = Authority()
    certificate, key = authority.sign("chat.example").write(short_path, "edge")
    settings = {"CHATKIT_EDGE_TLS_CERTIFICATE_FILE": str(certificate), "CHATKIT_EDGE_TLS_KEY_FILE": str(key)}
    async with running_edge(suite, short_path, **settings) as edge:
        credentials = grpc.ssl_channel_credentials(authority.pem)
        options = (("grpc.ssl_target_name_override", "chat.example"),)
        async with grpc.aio.secure_channel(edge.address, credentials, options=options) as channel:
            request = users_service_pb2.GetUserRequest(user_id="bob")
            answer = await UsersServiceStub(channel).GetUser(request, metadata=tokens.user("alice"))
            assert answer.user.id == "bob"
        first, protocol = await _seen(edge, authority, "h2", "http/1.1")
        assert protocol == "h2"
        assert (await _seen(edge, authority, "http/1.1"))[1] == "http/1.1"

        # In place, as `cp` does it: Envoy by itself would notice only what is renamed.
        authority.sign("chat.example").write(short_path, "edge")

        async def is_renewed() -> bool:
            return (await _seen(edge, authority))[0] != first

        await until(is_renewed)
        with pytest.raises(httpx.HTTPError):
            await edge.http.get("/")
        assert key.read_text() not in await edge.admin("/config_dump")


async def test_a_certificate_without_its_key_is_refused_at_the_start(suite: Suite, short_path: Path) -> None:
    authority = Authority()
    certificate, _ = authority.sign("chat.example").write(short_path, "edge")
    _, key = authority.sign("chat.example").write(short_path, "other")
    settings = {"CHATKIT_EDGE_TLS_CERTIFICATE_FILE": str(certificate), "CHATKIT_EDGE_TLS_KEY_FILE": str(key)}
    with pytest.raises(Exception, match="are no certificate with its key"):
        async with running_edge(suite, short_path, **settings):
            pass


async def test_services_and_the_edge_prove_to_one_another_who_they_are(suite: Suite, short_path: Path) -> None:
    ours = Authority()
    ca = ours.write_own(short_path)
    certificate, key = ours.sign("edge").write(short_path, "client")
    settings = {
        "CHATKIT_TLS_CA_FILE": str(ca),
        "CHATKIT_TLS_CERTIFICATE_FILE": str(certificate),
        "CHATKIT_TLS_KEY_FILE": str(key),
    }
    users, rooms = _server(ours.sign("127.0.0.1"), ours), _server(ours.sign("rooms"), ours)
    get, list_rooms = Call(), Call(path="/chatkit.rooms.v1.RoomsService/ListUserRooms", json={})
    async with (
        running_backend(users) as right,
        running_backend(rooms) as another_host,
        running_edge(
            suite,
            short_path,
            CHATKIT_USERS_ADDRESS=right.address,
            CHATKIT_ROOMS_ADDRESS=another_host.address,
            **settings,
        ) as edge,
    ):
        for face in FACES:
            assert await get.by(face, edge) is None
            told = await list_rooms.by(face, edge)
            assert told is not None
            assert told.error.reason == "SERVICE_UNAVAILABLE"
        assert right.calls
        assert not another_host.calls


async def test_content_is_encrypted_between_the_edge_and_files_too(suite: Suite, short_path: Path) -> None:
    ours = Authority()
    files = await suite.begin("files", **ours.write(short_path, "127.0.0.1"))
    certificate, key = ours.sign("edge").write(short_path, "client")
    settings = {
        "CHATKIT_FILES_HTTP_ADDRESS": files.http_address,
        "CHATKIT_TLS_CA_FILE": str(ours.write_own(short_path)),
        "CHATKIT_TLS_CERTIFICATE_FILE": str(certificate),
        "CHATKIT_TLS_KEY_FILE": str(key),
    }
    path = "/files/00000000-0000-0000-0000-000000000000"
    async with running_edge(suite, short_path, **settings) as edge:
        assert "FILE_URL_INVALID" in (await edge.http.get(path)).text
    async with running_edge(suite, short_path, CHATKIT_FILES_HTTP_ADDRESS=files.http_address) as edge:
        assert "SERVICE_UNAVAILABLE" in (await edge.http.get(path)).text


async def test_the_edge_shows_its_renewed_certificate_to_services(suite: Suite, short_path: Path) -> None:
    ours, others = Authority(), Authority()
    certificate, key = others.sign("edge").write(short_path, "client")
    settings = {
        "CHATKIT_TLS_CA_FILE": str(ours.write_own(short_path)),
        "CHATKIT_TLS_CERTIFICATE_FILE": str(certificate),
        "CHATKIT_TLS_KEY_FILE": str(key),
    }
    async with (
        running_backend(_server(ours.sign("127.0.0.1"), ours)) as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=backend.address, **settings) as edge,
    ):
        told = await Call().by("json", edge)
        assert told is not None
        assert told.error.reason == "SERVICE_UNAVAILABLE"
        ours.sign("edge").write(short_path, "client")

        async def is_answered() -> bool:
            return await Call().by("json", edge) is None

        await until(is_answered)


def _server(pair: Pair, authority: Authority) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], root_certificates=authority.pem, require_client_auth=True
    )


async def test_an_edge_without_a_certificate_reaches_no_service_that_asks_for_one(
    suite: Suite, short_path: Path
) -> None:
    authority = Authority()
    async with (
        running_backend(_server(authority.sign("127.0.0.1"), authority)) as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=backend.address) as edge,
    ):
        told = await Call().by("json", edge)
        assert told is not None
        assert told.error.reason == "SERVICE_UNAVAILABLE"
        assert not backend.calls
