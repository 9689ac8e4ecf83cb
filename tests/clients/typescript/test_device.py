"""A device in Node shows what there is and is told every event once, over gRPC-Web and gRPC, whatever is killed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatkit_client import connect
from tests.clients.typescript.device import Device, running_device
from tests.clients.typescript.tools import built
from tests.support.edge import Edge
from tests.support.envoys import kill_envoy, start_again
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.tokens import token


@pytest.fixture(params=["web", "node"])
async def alice(request: pytest.FixtureRequest, edge: Edge) -> AsyncIterator[Device]:
    """Lend a device of alice's, who may edit; it speaks gRPC-Web or gRPC."""
    await built()
    async with running_device(request.param, edge.address, token("alice", su=True)) as device:
        yield device


async def test_it_goes_on_after_the_edge_was_killed_and_tells_every_event_once(edge: Edge, alice: Device) -> None:
    assert (await alice.do("send", "lobby", "one"))["done"]
    assert (await alice.do("edit", "lobby", 1, "first"))["done"]
    await eventually(lambda: len(alice.events) == 2)
    await kill_envoy(edge)
    await eventually(lambda: "lost" in alice.statuses)
    sending = await alice.begin("send", "lobby", "two")
    await start_again(edge)
    await eventually(lambda: any(one.get("done") == sending for one in alice.said))
    async with connect(edge.address, token("bob")) as bob:
        await bob.send("lobby", "three")
    await eventually(lambda: len(alice.events) == 4)
    assert alice.events == [
        ("messageCreated", 1, "one"),
        ("messageChanged", 2, "first"),
        ("messageCreated", 3, "two"),
        ("messageCreated", 4, "three"),
    ]
    shown = await alice.shown()
    assert (shown["shown"], shown["pending"]) == (["first", "two", "three"], [])
    assert alice.statuses[-1] == "live"


async def test_it_shows_who_is_there_who_is_typing_and_what_is_unread(edge: Edge, alice: Device) -> None:
    async with connect(edge.address, token("bob")) as client, client.session() as bob:
        async with asyncio.timeout(HANG_SECONDS):
            await bob.caught_up()
        await bob.send("lobby", "hello")
        await eventually(lambda: alice.events == [("messageCreated", 1, "hello")])
        await _until(alice, unread=1, members=["alice", "bob"], presence=1)

        async def sees_bob_typing() -> bool:
            # It lasts for some seconds, and a slow machine may look too late.
            await bob.typing("lobby")
            return bool((await alice.shown())["typing"] == ["bob"])

        await until(sees_bob_typing)
        await _until(alice, typing=[])
        await alice.do("read", "lobby")
        await _until(alice, unread=0)

        async def is_seen_typing() -> bool:
            await alice.do("type", "lobby")
            return "alice" in bob.room("lobby").typing_ids

        await until(is_seen_typing)


async def test_what_is_refused_says_why_and_stays(alice: Device) -> None:
    assert (await alice.do("send", "nowhere", "hello"))["reason"] == "ROOM_NOT_FOUND"
    assert (await alice.shown("nowhere"))["pending"] == ["ROOM_NOT_FOUND"]


async def test_a_file_is_sent_attached_and_read_again(edge: Edge, alice: Device) -> None:
    assert (await alice.do("attach", "lobby", "a note"))["done"]
    ((url, told),) = [(one["url"], one["told"]) for one in alice.said if "url" in one]
    assert told == [0, len("a note")]
    assert [one["content"] for one in alice.said if "content" in one] == ["a note"]
    assert (await edge.http.get(f"/files/{url.partition('/files/')[2]}")).text == "a note"
    await eventually(lambda: alice.events == [("messageCreated", 1, "")])
    async with connect(edge.address, token("bob")) as bob:
        page = await bob.messages.list_messages(room_id="lobby")
    assert [part.file.name for part in page.messages[0].parts] == ["note.txt"]


async def test_many_messages_are_sent_and_all_pages_are_read(edge: Edge, alice: Device) -> None:
    assert (await alice.do("many", "lobby", "one", "two", "\0", "three"))["done"]
    outcomes = [(one.get("sent"), one.get("reason")) for one in alice.said if "sent" in one or "reason" in one]
    assert outcomes == [("one", None), ("two", None), (None, "FIELD_INVALID"), ("three", None)]
    await eventually(lambda: [text for _, _, text in alice.events] == ["one", "two", "three"])
    await edge.suite.make_room("kitchen", "alice")
    assert (await alice.do("rooms"))["done"]
    pages = [one["page"] for one in alice.said if "page" in one]
    assert sorted(room for page in pages for room in page) == ["kitchen", "lobby"]
    assert max(map(len, pages)) == 1


async def _until(device: Device, **shown: object) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found = await device.shown()
            if {key: found.get(key) for key in shown} == shown:
                return
