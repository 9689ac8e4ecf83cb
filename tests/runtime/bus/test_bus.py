"""The bus between replicas, over a real NATS: what arrives, what is dropped, and that nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.runtime.bus.nats import NatsBus
from services.runtime.bus.nats_url import nats_secret, parse_servers
from services.runtime.bus.port import MOST_PAYLOAD_BYTES, Bus, Exchange, InProcessBus, Outbox, packed, unpacked
from services.runtime.bus.subjects import encoded, subject
from services.runtime.clock import SystemClock
from services.stack.nats import CONFIGURATION
from tests.support.certificates import Authority
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.nats import PASSWORDS, Nats, running

_SUBJECT, _OTHER_SUBJECT = (subject("test", "messages", name) for name in ("log", "cursors"))


class _Heard:
    """A listener who writes down what comes."""

    def __init__(self) -> None:
        self.all: list[tuple[bytes, bytes]] = []
        self.missed_count = 0

    def received(self, key: bytes, payload: bytes) -> None:
        self.all.append((key, payload))

    def missed(self) -> None:
        self.missed_count += 1

    @property
    def keys(self) -> list[int]:
        return [int(key) for key, _ in self.all]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """Run a server."""
    with running(tmp_path) as server:
        yield server


def _bus(url: str, **tls: Any) -> NatsBus:
    return NatsBus("test", parse_servers(url, tls.get("ca_file"), None), SystemClock())


@asynccontextmanager
async def _carried(*buses: NatsBus, wait: bool = True) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(bus.run()) for bus in buses]
    try:
        if wait:
            await eventually(lambda: all(bus.is_connected for bus in buses))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_one_publishes_the_others_hear_in_order_and_not_oneself(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who subscribes late returns when the server knows of it, however long that takes.
    monkeypatch.setattr("services.runtime.bus.nats._SUBSCRIBE_SECONDS", HANG_SECONDS)
    first, second, third = _bus(nats.url()), _bus(nats.url()), _bus(nats.url())
    own, heard, late = _Heard(), _Heard(), _Heard()
    await first.subscribe(_SUBJECT, own)
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second, third):
        await third.subscribe(_SUBJECT, late)
        await third.subscribe(_OTHER_SUBJECT, _Heard())
        for number in range(1_000):
            first.publish(_SUBJECT, str(number).encode(), b"payload")
        first.publish(subject("test", "messages", "typing"), b"1")
        await eventually(lambda: len(heard.all) == len(late.all) == 1_000)
    assert heard.keys == late.keys == list(range(1_000))
    assert {payload for _, payload in heard.all} == {b"payload"}
    assert own.all == []


async def test_a_gift_that_is_too_large_stays_behind(nats: Nats) -> None:
    first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second):
        first.publish(_SUBJECT, b"1", b"x" * MOST_PAYLOAD_BYTES)
        first.publish(_SUBJECT, b"2", b"x" * (MOST_PAYLOAD_BYTES + 1))
        await eventually(lambda: len(heard.all) == 2)
    assert [(key, len(payload)) for key, payload in heard.all] == [(b"1", MOST_PAYLOAD_BYTES), (b"2", 0)]


async def test_nobody_waits_for_a_server_that_stands_still_and_the_newest_arrive(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the connection is not given up meanwhile.
    monkeypatch.setattr("services.runtime.bus.nats._PING_SECONDS", HANG_SECONDS)
    first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
    await second.subscribe(_SUBJECT, heard)
    payload, count = b"x" * 10_000, 3_000
    async with _carried(first, second):
        # Whoever waited for the server would wait for ever.
        async with asyncio.timeout(HANG_SECONDS):
            with nats.paused():
                # 30 MB, more than sockets and the outbox hold.
                for number in range(count):
                    first.publish(_SUBJECT, str(number).encode(), payload)
                    await asyncio.sleep(0)
                assert first.outbox.dropped > 0
                await first.subscribe(_OTHER_SUBJECT, _Heard())
        await eventually(lambda: heard.keys[-1:] == [count - 1])
        await eventually(lambda: first.outbox.dropped == 0)
    assert len(heard.all) < count
    assert heard.keys == sorted(heard.keys)


async def test_a_server_that_was_killed_is_found_again_and_listeners_are_told_to_look(nats: Nats) -> None:
    first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second):
        assert heard.missed_count == 1
        nats.kill()
        await eventually(lambda: not first.is_connected and not second.is_connected)
        # Whoever waited for the server would wait for ever.
        async with asyncio.timeout(HANG_SECONDS):
            first.publish(_SUBJECT, b"1")
            await second.subscribe(_OTHER_SUBJECT, meanwhile := _Heard())
        nats.start()
        await eventually(lambda: first.is_connected and second.is_connected)
        assert heard.missed_count == 2
        first.publish(_SUBJECT, b"2")
        first.publish(_OTHER_SUBJECT, b"3")
        await eventually(lambda: heard.keys[-1:] == [2] and meanwhile.keys == [3])


async def test_a_server_that_stands_still_for_long_is_given_up_and_found_again(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.bus.nats._PING_SECONDS", 0.2)
    first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second):
        with nats.paused():
            for number in range(1_000):
                first.publish(_SUBJECT, str(number).encode(), b"x" * 10_000)
            await eventually(lambda: not first.is_connected and not second.is_connected)
            # From now on a slow answer is one.
            monkeypatch.setattr("services.runtime.bus.nats._PING_SECONDS", HANG_SECONDS)
        await eventually(lambda: first.is_connected and second.is_connected)
        first.publish(_SUBJECT, b"5000")
        await eventually(lambda: heard.keys[-1:] == [5000])


async def test_without_a_server_nothing_waits_and_it_may_come_later(tmp_path: Path) -> None:
    with closing(Nats(tmp_path)) as nats, capture_logs() as logs:
        first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
        await second.subscribe(_SUBJECT, heard)
        async with _carried(first, second, wait=False):
            first.publish(_SUBJECT, b"1")
            await eventually(lambda: [entry["event"] for entry in logs].count("nats_away") == 2)
            nats.start()
            await eventually(lambda: first.is_connected and second.is_connected)
            first.publish(_SUBJECT, b"2")
            await eventually(lambda: heard.keys[-1:] == [2])
    assert PASSWORDS["messages"] not in str(logs)


@pytest.mark.parametrize("credential", ["wrong@", "messages:wrong@", "files:wrong@", ""])
async def test_whoever_has_another_credential_is_refused_and_tries_again_for_ever(nats: Nats, credential: str) -> None:
    wrong = _bus(f"nats://{credential}127.0.0.1:{nats.port}")
    with capture_logs() as logs:
        async with _carried(wrong, wait=False):
            await eventually(lambda: any(entry["event"] == "nats_away" for entry in logs))
            await eventually(lambda: nats.log.read_text().count("authentication error") >= 3)
            assert not wrong.is_connected


async def test_a_frame_that_makes_no_sense_is_logged_and_the_next_one_is_heard(nats: Nats) -> None:
    first, second, heard = _bus(nats.url()), _bus(nats.url()), _Heard()
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second):
        with capture_logs() as logs:
            assert first._connection is not None
            await first._connection.publish(_SUBJECT, b"nonsense that is long enough")
            first.publish(_SUBJECT, b"1")
            await eventually(lambda: heard.keys == [1])
    assert [entry["event"] for entry in logs] == ["bus_frame_malformed"]


async def test_a_listener_that_fails_is_logged_and_the_next_announcement_is_heard(nats: Nats) -> None:
    class Fails(_Heard):
        def received(self, key: bytes, payload: bytes) -> None:
            super().received(key, payload)
            if key == b"1":
                raise LookupError

    first, second, heard = _bus(nats.url()), _bus(nats.url()), Fails()
    await second.subscribe(_SUBJECT, heard)
    async with _carried(first, second):
        with capture_logs() as logs:
            first.publish(_SUBJECT, b"1")
            await eventually(lambda: heard.keys == [1])
            first.publish(_SUBJECT, b"2")
            await eventually(lambda: heard.keys == [1, 2])
        assert second.is_connected
    assert [entry["event"] for entry in logs] == ["bus_listener_failed"]


async def test_tls_is_used_and_insisted_upon(tmp_path: Path, nats: Nats) -> None:
    authority = Authority("nats")
    files = authority.write(tmp_path, "127.0.0.1")
    certificate, key = files["tls_certificate_file"], files["tls_key_file"]
    configuration = tmp_path / "tls.conf"
    configuration.write_text(CONFIGURATION.read_text() + f"tls {{ cert_file: '{certificate}', key_file: '{key}' }}\n")
    server = Nats(tmp_path, "--config", str(configuration))
    ca_file = files["tls_ca_file"]
    first, second, heard = (*(_bus(server.url().replace("nats:", "tls:"), ca_file=ca_file) for _ in range(2)), _Heard())
    await second.subscribe(_SUBJECT, heard)
    try:
        server.start()
        async with _carried(first, second):
            first.publish(_SUBJECT, b"1")
            await eventually(lambda: heard.keys == [1])
    finally:
        server.close()
    # A server without TLS is not told the token.
    downgraded = _bus(nats.url().replace("nats:", "tls:"), ca_file=ca_file)
    with capture_logs() as logs:
        async with _carried(downgraded, wait=False):
            await eventually(lambda: any(entry["event"] == "nats_away" for entry in logs))
            assert not downgraded.is_connected


async def test_one_process_has_a_bus_too(nats: Nats) -> None:
    exchange = Exchange()
    buses: list[Bus] = [InProcessBus(exchange), InProcessBus(exchange), InProcessBus()]
    heard = [_Heard() for _ in buses]
    for bus, listener in zip(buses, heard, strict=True):
        await bus.subscribe(_SUBJECT, listener)
    buses[0].publish(_SUBJECT, b"1", b"payload")
    buses[0].publish(_SUBJECT, b"2", b"x" * (MOST_PAYLOAD_BYTES + 1))
    buses[0].publish(_OTHER_SUBJECT, b"3")
    assert heard[1].all == []
    await asyncio.sleep(0)
    assert [listener.all for listener in heard] == [[], [(b"1", b"payload"), (b"2", b"")], []]


async def test_theoutbox_drops_the_oldest() -> None:
    outbox = Outbox()
    for number in range(10_002):
        outbox.put("a" if number % 2 else "b", str(number).encode(), b"")
    assert outbox.dropped == 2
    subject, frame = await outbox.take()
    assert (subject, list(unpacked(frame))) == ("b", [(b"2", b"")])


@given(st.lists(st.tuples(st.binary(max_size=50), st.binary(max_size=50))), st.integers(0, 20))
def test_frames_are_read_as_they_were_written_and_a_part_of_one_is_refused(
    records: list[tuple[bytes, bytes]], cut: int
) -> None:
    frame = b"".join(packed(key, payload) for key, payload in records)
    assert list(unpacked(frame)) == records
    if records and 0 < cut < len(packed(*records[-1])):
        with pytest.raises(ValueError, match="the frame ends"):
            list(unpacked(frame[:-cut]))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_one_part_of_a_subject_and_no_two_texts_are_the_same(one: str, other: str) -> None:
    part = encoded(one)
    assert part.isascii()
    assert part
    assert not set(part) & set(" .*>\t\r\n")
    assert (encoded(other) == part) == (one == other)


async def test_subjects_of_odd_names_arrive(nats: Nats) -> None:
    names = ["", "a.b", "*", ">", "zoë 🫎", "a\tb\r\nPUB x 0", "%2E", "."]
    first, second = _bus(nats.url()), _bus(nats.url())
    heard = {name: _Heard() for name in names}
    for name, listener in heard.items():
        await second.subscribe(subject(name, "messages", "log"), listener)
    async with _carried(first, second):
        for number, name in enumerate(names):
            first.publish(subject(name, "messages", "log"), str(number).encode())
        await eventually(lambda: all(listener.all for listener in heard.values()))
    assert [listener.keys for listener in heard.values()] == [[number] for number in range(len(names))]


@pytest.mark.parametrize(
    ("url", "secret", "addresses"),
    [
        ("nats://host", "", ("host:4222",)),
        ("nats://t%40ken@host:1, nats://other:2", "t@ken", ("host:1", "other:2")),
        ("tls://user:pass%3Aword@[::1]:1", "pass:word", ("[::1]:1",)),
        ("", "", None),
    ],
)
def test_the_url_is_read(url: str, secret: str, addresses: tuple[str, ...] | None) -> None:
    assert nats_secret(url) == secret
    if addresses is not None:
        servers = parse_servers(url, None, None)
        assert servers.addresses == addresses
        assert (servers.tls is not None) == url.startswith("tls")
        assert not secret or secret not in repr(servers)


@pytest.mark.parametrize(
    "url",
    [
        *("hidden", "http://hidden@host", "nats://hidden@", "nats://hidden@host:port", "nats://:hidden@host"),
        *("nats://hidden@host,tls://other", "nats://hidden@host/path", "nats://hidden@[host"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="CHATKIT_NATS_URL must be like") as refused:
        parse_servers(url, None, None)
    assert "hidden" not in str(refused.value)
