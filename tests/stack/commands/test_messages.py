"""A conversation at the terminal: what is sent and shown, and what is said beside it, on standard error."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatkit_client import Client, connect
from chatkit_client.types import Message, Part, RoomEvent, Typing
from services.stack.commands.messages import Notices
from services.stack.sign_in import token
from tests.stack.commands.typed import run_chatkit, start_chatkit
from tests.support.eventually import HANG_SECONDS
from tests.support.stack import RunningStack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def alice(stack: RunningStack) -> AsyncIterator[Client]:
    async with connect(stack.address, token(stack.home, "alice")) as client:
        yield client


async def _room(alice: Client, room_id: str) -> str:
    """Make a room of alice and bob."""
    await alice.rooms.create_room(id=room_id, name=room_id, visibility="VISIBILITY_PRIVATE", user_ids=["bob"])
    return room_id


async def _send(alice: Client, room_id: str, *parts: Part) -> None:
    await alice.messages.send_message(room_id=room_id, parts=parts, request_id=f"{len(parts)} {parts[0].content}")


def _text(content: str) -> Part:
    return Part(content_type="text/plain", content=content)


async def test_standard_input_is_one_message_without_its_last_line_end(stack: RunningStack, alice: Client) -> None:
    room = await _room(alice, "typed")
    status, sent, _ = await run_chatkit(
        stack, "send", "-", "--room", room, "--json", typed="Grüße\n\nvon mir\n".encode()
    )
    assert status == 0
    assert [part["content"] for part in json.loads(sent)["parts"]] == ["Grüße\n\nvon mir"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (b"", "standard input is empty"),
        (b"\n", "standard input is empty"),
        (b"\xff\xfe", "standard input is not text in UTF-8"),
        (b"x" * 1_000_001, "standard input has more than 1.0 MB"),
        (b"x" * 10_000, "MESSAGE_BYTES is 5120"),
        (b"x" * 1_000_000, "REQUEST_TOO_LARGE"),
    ],
)
async def test_what_can_not_be_sent_is_one_sentence(stack: RunningStack, typed: bytes, sentence: str) -> None:
    status, sent, said = await run_chatkit(stack, "send", "-", typed=typed)
    assert (status, sent, said.count("\n")) == (1, "", 1)
    assert said.startswith("chatkit: ")
    assert sentence in said


async def test_files_are_listed_by_name_and_size(stack: RunningStack, alice: Client) -> None:
    room = await _room(alice, "pictures")
    content = b"x" * 4_200
    file = await alice.upload(room, content, name="my cat.png", content_type="image/png")
    await _send(alice, room, _text("Look:"), Part(content_type="image/png", file_id=file.id))
    _, listed, said = await run_chatkit(stack, "list", "--room", room)
    assert listed.rstrip().endswith("  alice: Look: [file my cat.png, 4.2 kB]")
    assert said == ""


async def test_a_list_says_that_there_are_older_messages_and_goes_back_to_them(
    stack: RunningStack, alice: Client
) -> None:
    room = await _room(alice, "long")
    for number in range(1, 6):
        await _send(alice, room, _text(f"message {number}"))
    _, listed, said = await run_chatkit(stack, "list", "--room", room, "--last", "2")
    assert [line.split()[0] for line in listed.splitlines()] == ["4", "5"]
    assert said == "… and up to 3 older: --before 4\n"
    _, listed, said = await run_chatkit(stack, "list", "--room", room, "--last", "3", "--before", "4")
    assert [line.split()[0] for line in listed.splitlines()] == ["1", "2", "3"]
    assert said == ""


async def _until(stream: asyncio.StreamReader | None, text: str) -> list[str]:
    """Read lines up to one that has a text."""
    assert stream is not None
    lines: list[str] = []
    async with asyncio.timeout(HANG_SECONDS):
        while not lines or text not in lines[-1]:
            line = await stream.readline()
            assert line, lines
            lines.append(line.decode())
    return lines


async def test_who_watches_sees_who_is_typing_and_how_the_connection_is(stack: RunningStack, alice: Client) -> None:
    room = await _room(alice, "watched")
    await _send(alice, room, _text("first"))
    watching = await start_chatkit(stack, "watch", "--room", room)
    await _until(watching.stdout, "first")
    await alice.messages.send_typing(room_id=room)
    assert await _until(watching.stderr, "typing") == ["alice is typing …\n"]
    stack.signal("edge", signal.SIGKILL)
    assert await _until(watching.stderr, "lost") == [
        "the connection is lost (UNAVAILABLE); trying again until it is back\n"
    ]
    assert await _until(watching.stderr, "again") == ["connected again\n"]
    await _send(alice, room, _text("second"))
    assert len(await _until(watching.stdout, "second")) == 1
    watching.send_signal(signal.SIGINT)
    async with asyncio.timeout(HANG_SECONDS):
        await watching.communicate()


async def test_somebody_who_goes_on_typing_is_told_of_once_for_each_message(capsys: pytest.CaptureFixture[str]) -> None:
    typing = RoomEvent(typing=Typing(user_id="zoë\x1b[2J"))
    sent = RoomEvent(message_created=Message(sender_id="zoë\x1b[2J"))
    notices = Notices()
    for event in (typing, typing, sent, typing):
        notices.see(event)
    assert capsys.readouterr().err == "zoë [2J is typing …\n" * 2
