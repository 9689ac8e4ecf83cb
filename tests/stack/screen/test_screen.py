"""The screen of `chatkit chat` as somebody uses it: what it shows of a suite that runs, and what keys do."""

import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from chatkit_client import Client, connect
from services.stack.screen.app import ChatScreen
from services.stack.sign_in import token
from tests.stack.commands.typed import run_chatkit
from tests.support.eventually import eventually
from tests.support.stack import RunningStack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def bob(stack: RunningStack) -> AsyncIterator[Client]:
    async with connect(stack.address, token(stack.home, "bob")) as client:
        yield client


class Seen:
    """What alice sees."""

    def __init__(self, screen: ChatScreen, pilot: Pilot[Any]) -> None:
        self.screen = screen
        self.pilot = pilot

    def text(self, name: str) -> str:
        """Return what a part of the screen says."""
        return str(self.screen.query_one(f"#{name}", Static).content)

    def lines(self) -> list[str]:
        """Return what is written in the open room, without the times."""
        return [line[7:] for line in self.text("messages").splitlines()]

    def rooms(self) -> list[str]:
        """Return the lines of the list of rooms."""
        return [str(option.prompt) for option in self.screen.query_one("#rooms", OptionList).options]

    async def write(self, text: str) -> None:
        """Type a line, and send it."""
        self.screen.query_one("#text", Input).value = text
        await self.pilot.press("enter")


def _alice(stack: RunningStack) -> AbstractAsyncContextManager[Seen]:
    return _seen_by(stack, "alice")


@asynccontextmanager
async def _seen_by(stack: RunningStack, user_id: str) -> AsyncIterator[Seen]:
    async with connect(stack.address, token(stack.home, user_id)) as client, client.session() as session:
        screen = ChatScreen(session)
        async with screen.run_test(size=(100, 30)) as pilot:
            yield Seen(screen, pilot)


async def _room(bob: Client, room_id: str, *texts: str) -> str:
    await bob.rooms.create_room(id=room_id, name=f"The {room_id}", visibility="VISIBILITY_PRIVATE", user_ids=["alice"])
    for text in texts:
        await bob.send(room_id, text)
    return room_id


async def test_what_is_written_is_shown_on_both_sides(stack: RunningStack, bob: Client) -> None:
    room = await _room(bob, "kitchen", "Who is\x1b[2J there?")
    async with _alice(stack) as alice:
        await eventually(lambda: alice.lines() == ["Bob  Who is [2J there?"])
        assert "The kitchen  ○ alice" in alice.text("title") or "● alice" in alice.text("title")
        await alice.write("I am, [b]Bob[/b]")
        await eventually(lambda: alice.lines()[1:] == ["Alice  I am, [b]Bob[/b]"])
        await bob.send(room, "Good")
        await eventually(lambda: alice.lines()[2:] == ["Bob  Good"])
        page = await bob.messages.list_messages(room_id=room)
        assert [message.sender_id for message in page.messages] == ["bob", "alice", "bob"]
        await bob.messages.edit_message(room_id=room, seq=1, parts=page.messages[0].parts)
        await bob.messages.delete_message(room_id=room, seq=3)
        await eventually(lambda: alice.lines() == ["Bob  Good (edited)", "Alice  I am, [b]Bob[/b]"])


async def test_unread_messages_are_counted_until_their_room_is_open(stack: RunningStack, bob: Client) -> None:
    await _room(bob, "garden", "one", "two")
    await _room(bob, "roof", "three")
    async with _alice(stack) as alice:
        await eventually(lambda: alice.rooms()[:2] == ["The roof", "The garden  2"])
        await bob.messages.send_typing(room_id="roof")
        await eventually(lambda: alice.text("typing") == "Bob is typing …")
        await alice.pilot.press("ctrl+n")
        await eventually(lambda: alice.lines() == ["Bob  one", "Bob  two"])
        await eventually(lambda: alice.rooms()[:2] == ["The roof", "The garden"])
        await bob.send("roof", "four")
        await eventually(lambda: alice.rooms()[:2] == ["The roof  1", "The garden"])
        await alice.pilot.press("ctrl+p")
        await eventually(lambda: alice.lines() == ["Bob  three", "Bob  four"])
        await eventually(lambda: alice.rooms()[:2] == ["The roof", "The garden"])
        state = (await bob.read_states.list_read_cursors(room_id="roof")).cursors
        assert {cursor.user_id: cursor.seq for cursor in state}["alice"] == 2


async def test_older_messages_come_with_page_up(stack: RunningStack, bob: Client) -> None:
    await _room(bob, "cellar", *(f"message {number}" for number in range(1, 26)))
    async with _alice(stack) as alice:
        await eventually(lambda: alice.lines()[-1:] == ["Bob  message 25"])
        assert "Page Up" in alice.text("messages")
        for _ in range(3):
            await alice.pilot.press("pageup")
        await eventually(lambda: alice.lines()[:1] == ["Bob  message 1"])


async def test_a_lost_connection_is_told_and_what_was_written_meanwhile_is_sent(
    stack: RunningStack, bob: Client
) -> None:
    await _room(bob, "attic", "hello")
    async with _alice(stack) as alice:
        await eventually(lambda: alice.lines() == ["Bob  hello"])
        await eventually(lambda: alice.text("connection") == "")
        stack.signal("edge", signal.SIGKILL)
        await eventually(lambda: "the connection is lost" in alice.text("connection"))
        await alice.write("Are you there?")
        await eventually(lambda: alice.lines()[1:] == ["Alice  Are you there?"])
        await eventually(lambda: alice.text("connection") == "")


async def test_a_room_that_is_left_is_shown_no_longer(stack: RunningStack, bob: Client) -> None:
    await _room(bob, "shed", "hello")
    async with _alice(stack) as alice:
        await eventually(lambda: alice.rooms()[:1] == ["The shed"])
        await bob.memberships.remove_members(room_id="shed", user_ids=["alice"])
        await eventually(lambda: "The shed" not in alice.rooms())
        await eventually(lambda: "The shed" not in alice.text("title"))


async def test_it_ends_with_a_key(stack: RunningStack) -> None:
    async with _alice(stack) as alice:
        await alice.pilot.press("ctrl+q")
        assert (alice.screen.is_running, alice.screen.return_value) == (False, None)


async def test_where_the_suite_ends_it_it_says_why(stack: RunningStack, bob: Client) -> None:
    async with connect(stack.address, token(stack.home, None, su=True)) as su:
        await su.users.create_user(id="carol", name="Carol")
        async with _seen_by(stack, "carol") as carol:
            await eventually(lambda: carol.text("connection") == "")
            await su.users.delete_user(user_id="carol", messages="MESSAGE_ERASURE_ERASE")
            await eventually(lambda: not carol.screen.is_running)
            assert "USER_DELETED" in str(carol.screen.return_value)


async def test_without_a_terminal_it_is_a_sentence(stack: RunningStack) -> None:
    assert await run_chatkit(stack, "chat") == (
        1,
        "",
        "chatkit: chat needs a terminal; send, list and watch do without one\n",
    )
