"""Every kind of client in one room, tokens of ten seconds, and processes that are killed while everybody talks.

Each shows every message once, in the one order, and none twice even for a moment.
"""

import pytest

from chatkit_client import ChangeKind, Session, connect, pages
from chatkit_client.types import PresenceState
from services.stack import sign_in
from tests.clients.together.everybody import USERS, Everybody, in_the_room
from tests.clients.together.login import running_login
from tests.clients.together.tab import Tab
from tests.clients.together.talking import PICTURES, SENT, Talking
from tests.clients.typescript.tools import built
from tests.support.eventually import eventually, until
from tests.support.stack import RunningStack, running_stack


@pytest.mark.slow
async def test_everybody_sees_every_message_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    await built()
    async with running_login() as login:
        monkeypatch.setenv("CHATKIT_CORS_ORIGINS", login.origin)
        async with running_stack() as stack:
            await _make_users(stack)
            async with in_the_room(stack, login) as everybody:
                await Talking(stack, everybody).run()
                await _check(everybody)
                await _check_who_is_there(everybody)
        # Each lived on from token to token.
        assert all(login.given[user_id] > 2 for user_id in ("python", "node", "ann", "ben", "curl"))


async def _make_users(stack: RunningStack) -> None:
    async with connect(stack.address, sign_in.token(stack.home, None, su=True)) as root:
        for user_id in USERS:
            await root.users.create_user(id=user_id, name=user_id)
        await root.memberships.add_members(room_id="lobby", user_ids=USERS)


async def _check(everybody: Everybody) -> None:
    """Compare what each has told and shown with what is stored."""
    client = everybody.client
    read = [page.messages async for page in pages(client.messages.list_messages, room_id="lobby", page_size=100)]
    stored = [message for messages in read for message in messages][::-1]
    created = {seq for seq, kind in everybody.events if kind is ChangeKind.MESSAGE_CREATED}
    assert len(created) == SENT
    end = max(seq for seq, _ in everybody.events)
    log = list(range(1, end + 1))

    await eventually(lambda: len(everybody.node.events) >= end and len(everybody.curl.events) >= end)
    await eventually(lambda: len(everybody.terminal.lines) >= end)
    assert everybody.resets[1:] == []
    assert [seq for seq, _ in everybody.events] == log
    assert [seq for _, seq, _ in everybody.node.events] == log
    assert (everybody.curl.holes, [seq for seq, _, _ in everybody.curl.events]) == (0, log)
    # A line shows the message of an event, as the message is by then.
    lines, messages = everybody.terminal.lines, [int(message["seq"]) for _, _, message in everybody.curl.events]
    assert [int(line["seq"]) for line in lines] == messages
    assert all(int(line["revision"]) >= seq for seq, line in zip(log, lines, strict=True))

    last = [(message.seq, "".join(part.content for part in message.parts)) for message in stored]
    for tab in (*everybody.tabs, everybody.ben):

        async def is_current(tab: Tab = tab) -> bool:
            shown = await tab.shown()
            return shown == last[-len(shown) :] and len(shown) >= 100

        await until(is_current)
        assert await tab.faults() == []
        # Even those that were deleted since, but for what came and went while a connection was away.
        assert {message.seq for message in stored} <= await tab.seen()
        assert await tab.page.locator(".pending, .failed").count() == 0
    picture = everybody.ben.page.get_by_alt_text(f"picture-{PICTURES - 1}.png")
    if await picture.count():
        await everybody.ben.page.wait_for_function("[...document.images].every((one) => one.naturalWidth > 0)")


async def _check_who_is_there(everybody: Everybody) -> None:
    """Ben types, and everybody sees it begin and end; who is there is there for all."""
    python, ben = everybody.python, everybody.ben
    await ben.page.get_by_placeholder("Write a message").press_sequentially("I")
    await eventually(lambda: python.room("lobby").typing_ids == {"ben"})
    await everybody.tabs[1].page.get_by_text("ben is typing").first.wait_for()
    await eventually(lambda: python.room("lobby").typing_ids == set())
    await everybody.tabs[1].page.get_by_text("ben is typing").first.wait_for(state="detached")
    there = {"python", "node", "ann", "ben"}
    await eventually(lambda: {user_id for user_id in USERS if _is_there(python, user_id)} == there)
    await everybody.tabs[0].page.get_by_role("button", name=f", {len(there)} here").wait_for()


def _is_there(session: Session, user_id: str) -> bool:
    presence = session.presence(user_id)
    return presence is not None and presence.state == PresenceState.PRESENCE_STATE_ONLINE
