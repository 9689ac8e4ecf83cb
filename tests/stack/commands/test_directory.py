"""Users, rooms and members from the command line: what is changed, and what is listed of it."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatkit_client import connect
from chatkit_client.types import Part
from services.stack.sign_in import token
from tests.stack.commands.typed import run_chatkit
from tests.support.stack import RunningStack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


async def _said(stack: RunningStack, *arguments: str) -> list[str]:
    """Run a command that succeeds and has nothing to remark; return its lines."""
    status, out, err = await run_chatkit(stack, *arguments)
    assert (status, err) == (0, ""), err
    return out.splitlines()


async def _refused(stack: RunningStack, *arguments: str) -> str:
    status, out, err = await run_chatkit(stack, *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1), err
    return err


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


async def test_users_are_added_listed_found_and_deleted(stack: RunningStack) -> None:
    assert await _said(stack, "users", "add", "zoë", "--name", "Zoë Z") == ["zoë is a user now"]
    assert "USER_ALREADY_EXISTS" in await _refused(stack, "users", "add", "zoë")
    head, *rows = await _said(stack, "users", "list")
    assert _cells(head) == ["user", "name", "created"]
    assert [_cells(row)[:2] for row in rows][-1] == ["zoë", "Zoë Z"]
    found = await _said(stack, "users", "list", "--search", "zoë z", "--json")
    assert [json.loads(line)["id"] for line in found] == ["zoë"]
    (gone,) = await _said(stack, "users", "delete", "zoë", "--messages", "keep")
    assert gone.startswith("zoë is no user any more")
    assert await _said(stack, "users", "list", "--search", "zoë") == ["user  name  created"]
    assert "USER_NOT_FOUND" in await _refused(stack, "users", "delete", "nobody", "--messages", "erase")


async def test_what_becomes_of_a_users_messages_must_be_said(stack: RunningStack) -> None:
    status, _, err = await run_chatkit(stack, "users", "delete", "bob")
    assert (status, "--messages" in err) == (2, True)


async def test_rooms_are_listed_as_all_there_are_and_as_a_user_sees_them(stack: RunningStack) -> None:
    made = await _said(stack, "rooms", "add", "garden", "--name", "The garden", "--public", "--with", "bob")
    assert made == ["garden is a room now, with 2 members"]
    assert await _said(stack, "rooms", "add", "attic") == ["attic is a room now, with 1 member"]
    async with connect(stack.address, token(stack.home, "alice")) as alice:
        parts = [Part(content_type="text/plain", content="Roses\n\x1b[2J are " + "x" * 100)]
        await alice.messages.send_message(room_id="garden", parts=parts, request_id="1")
    head, *rows = await _said(stack, "rooms", "list")
    assert _cells(head) == ["room", "name", "members", "who may join", "created"]
    told = {cells[0]: cells[1:4] for cells in map(_cells, rows)}
    assert told["garden"] == ["The garden", "2", "anyone"]
    assert told["attic"] == ["attic", "1", "who is added"]
    head, first, *_ = await _said(stack, "rooms", "list", "--as", "bob")
    assert _cells(head) == ["room", "name", "unread", "latest", "last message"]
    room, name, unread, _, text = _cells(first)
    assert (room, name, unread, text[:24], text[-1]) == ("garden", "The garden", "1", "alice: Roses [2J are xxx", "…")
    (deletion,) = await _said(stack, "rooms", "delete", "attic", "--json")
    assert json.loads(deletion)["state"].startswith("DELETION_STATE_")
    assert "ROOM_NOT_FOUND" in await _refused(stack, "rooms", "delete", "nowhere")


async def test_members_are_added_listed_and_removed(stack: RunningStack) -> None:
    await _said(stack, "rooms", "add", "kitchen")
    assert await _said(stack, "members", "add", "bob", "--room", "kitchen") == ["bob: in kitchen now"]
    head, *rows = await _said(stack, "members", "list", "--room", "kitchen")
    assert _cells(head) == ["user", "name", "presence"]
    assert [_cells(row) for row in rows] == [["alice", "Alice", "offline"], ["bob", "Bob", "offline"]]
    assert await _said(stack, "members", "remove", "alice", "bob", "--room", "kitchen") == [
        "alice, bob: not in kitchen now"
    ]
    assert await _said(stack, "members", "list", "--room", "kitchen", "--json") == []
    assert "USER_NOT_FOUND" in await _refused(stack, "members", "add", "nobody", "--room", "kitchen")
    assert "ROOM_NOT_FOUND" in await _refused(stack, "members", "list", "--room", "nowhere")


async def test_a_list_says_that_there_is_more(stack: RunningStack) -> None:
    status, out, err = await run_chatkit(stack, "users", "list", "--most", "1", "--json")
    assert (status, len(out.splitlines())) == (0, 1)
    assert err == "… these are the first 1: --most lists more\n"
