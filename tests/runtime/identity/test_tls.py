"""TLS between processes: each side must show a certificate of the same authority, and certificates are exchanged."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.runtime.clock import SystemClock
from services.runtime.identity.tls import Certificates
from services.runtime.peers.channels import RenewedChannel
from services.runtime.process.server import Server
from services.runtime.settings import Settings
from services.users.settings import UsersSettings
from tests.messages.chat import text
from tests.support import tokens
from tests.support.certificates import Authority
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.suite import BUILDS, Suite, settings

_NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"
_POLL_SECONDS = 2.0
_FILES = ("tls_certificate_file", "tls_key_file", "tls_ca_file")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Sign for the suite."""
    return Authority("ours")


@pytest.fixture(scope="module")
def stranger() -> Authority:
    """Sign for somebody else."""
    return Authority("theirs")


def _settings(folder: Path, authority: Authority, **changes: Any) -> UsersSettings:
    keys, service_keys = tokens.write_keys(folder)
    return UsersSettings(
        database_url=SecretStr(_NO_DATABASE),
        instance=tokens.INSTANCE,
        keys_file=keys,
        service_keys_file=service_keys,
        keys_poll_interval_seconds=_POLL_SECONDS,
        **authority.write(folder),
        **changes,
    )


@pytest.fixture
def clock() -> ManualClock:
    """Stand still, so that files are looked at when the test says."""
    return ManualClock()


@pytest.fixture
async def server(tmp_path: Path, authority: Authority, clock: ManualClock) -> AsyncIterator[Server]:
    """Run users with a certificate and with nobody else."""
    told = _settings(tmp_path, authority, shutdown_grace_seconds=0)
    async with BUILDS["users"](told, clock) as running:
        yield running


async def _answers(channel: grpc.aio.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with channel:
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - the only way not to answer
            return False
    return True


async def test_only_a_client_with_a_certificate_of_our_authority_is_answered(
    server: Server, authority: Authority, stranger: Authority
) -> None:
    assert await _answers(authority.channel(server.address, authority))
    assert not await _answers(grpc.aio.insecure_channel(server.address))
    assert not await _answers(authority.channel(server.address))
    assert not await _answers(authority.channel(server.address, stranger))


async def test_a_client_believes_only_a_server_of_our_authority_with_the_name_that_it_called(
    server: Server, authority: Authority, stranger: Authority, tmp_path: Path, clock: ManualClock
) -> None:
    assert not await _answers(stranger.channel(server.address, authority))
    authority.write(tmp_path, host="rooms.example")
    await clock.advance(_POLL_SECONDS)
    assert not await _answers(authority.channel(server.address, authority))


async def test_a_new_certificate_and_a_new_authority_are_used_without_a_restart(
    server: Server, authority: Authority, stranger: Authority, tmp_path: Path, clock: ManualClock
) -> None:
    stranger.write(tmp_path)
    # Not looked at yet.
    assert await _answers(authority.channel(server.address, authority))
    await clock.advance(_POLL_SECONDS)
    assert await _answers(stranger.channel(server.address, stranger))
    assert not await _answers(authority.channel(server.address, authority))
    assert not await _answers(stranger.channel(server.address, authority))


async def test_files_that_can_not_be_used_together_change_nothing(
    server: Server, authority: Authority, stranger: Authority, tmp_path: Path, clock: ManualClock
) -> None:
    told = {name: getattr(server.settings, name) for name in _FILES}
    for name, content in (
        ("tls_key_file", stranger.sign()[1]),
        ("tls_key_file", b"hush"),
        ("tls_certificate_file", stranger.sign()[0]),
        ("tls_certificate_file", b""),
        ("tls_ca_file", b"nothing"),
    ):
        before = told[name].read_bytes()
        told[name].write_bytes(content)
        with capture_logs() as logs:
            await clock.advance(_POLL_SECONDS)
        # Users has parts that complain of the database, which is not there.
        told_of_files = {"certificates_changed", "files_unusable"}
        assert [log["event"] for log in logs if log["event"] in told_of_files] == ["files_unusable"]
        assert "hush" not in str(logs)
        assert await _answers(authority.channel(server.address, authority))
        told[name].write_bytes(before)


@pytest.mark.parametrize("name", _FILES)
def test_the_three_files_go_together(name: str) -> None:
    told: dict[str, Any] = {file: Path("x") for file in _FILES if file != name}
    with pytest.raises(ValueError, match=f"CHATKIT_{name.upper()} is missing"):
        _ = Settings(**told).tls
    alone: dict[str, Any] = {name: Path("x")}
    with pytest.raises(ValueError, match="go together"):
        _ = Settings(**alone).tls


def test_a_setting_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE", "TLS_CA_FILE", "JWKS_FILE"):
        monkeypatch.setenv(f"CHATKIT_{name}", "")
    assert Settings().tls is None
    assert Settings().jwks_file is None


async def test_a_channel_takes_the_new_certificate_for_new_calls_and_lets_the_others_end(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    told = Settings(**authority.write(folder)).tls
    assert told is not None
    certificates = Certificates(told)
    channel = RenewedChannel(server.address, certificates, ())
    stub: Any = health_pb2_grpc.HealthStub(channel)
    watching = stub.Watch(health_pb2.HealthCheckRequest())
    await watching.read()
    await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)
    first = channel._line
    await channel.renew()
    assert channel._line is first

    authority.write(folder)
    certificates.look()
    await channel.renew()
    assert channel._line is not first
    assert channel._retired == [first]
    await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)
    await channel.channel_ready()
    # What was open goes on, on the connection of the old one.
    await server.readiness.servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()
    await eventually(lambda: first.calls == 0)
    await channel.renew()
    assert channel._retired == []
    assert first.channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
    await channel.close(None)


async def test_services_call_one_another_and_are_called_only_with_certificates(
    database: TestDatabase, tmp_path: Path, authority: Authority
) -> None:
    files = authority.write(tmp_path)
    suite = Suite(database, tmp_path, SystemClock(), {**files, "keys_poll_interval_seconds": 0.05})
    try:
        for name in ("users", "rooms", "messages"):
            server = await suite.begin(name)
            suite._channels[server.address] = authority.channel(server.address, authority)
        for name in suite.servers:
            await _serving(suite.channel(name))
        await suite.make_users("alice")
        await suite.make_room("lobby", "alice")
        sent = await suite.messages.SendMessage(text("over TLS", "1"), metadata=tokens.user("alice"))
        assert sent.message.seq == 1
        assert not await _answers(grpc.aio.insecure_channel(suite.servers["rooms"].address))
    finally:
        await suite.close()


async def _serving(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async for answer in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=HANG_SECONDS):
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return


async def test_a_service_that_shows_no_certificate_is_no_peer(
    database: TestDatabase, tmp_path: Path, authority: Authority
) -> None:
    suite = Suite(database, tmp_path, SystemClock(), {})
    try:
        rooms = await suite.begin("rooms", **authority.write(tmp_path))
        told = settings(database, tmp_path, "messages", rooms_address=rooms.address)
        async with BUILDS["messages"](told, SystemClock()) as messages:
            with capture_logs() as logs:
                await eventually(lambda: any(log.get("dependency") == "rooms" for log in logs))
            async with grpc.aio.insecure_channel(messages.address) as channel:
                stub: Any = health_pb2_grpc.HealthStub(channel)
                status = (await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)).status
            assert status == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        await suite.close()
