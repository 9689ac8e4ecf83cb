"""The README shows a first conversation as the commands print it and as the screen of `chat` draws it."""

import re

from chatkit_client import connect
from services.stack.screen.app import ChatScreen
from services.stack.sign_in import token
from tests.contract.descriptors import ROOT
from tests.stack.commands.typed import run_chatkit
from tests.support.eventually import eventually
from tests.support.stack import RunningStack, running_stack

_SAID = (("alice", "Hello, Bob"), ("bob", "Hello, Alice"))


def _timeless(text: str) -> str:
    return re.sub(r"\d\d:\d\d(:\d\d)?", "TIME", text)


async def test_a_first_conversation_is_as_the_readme_shows_it() -> None:
    readme = _timeless((ROOT / "README.md").read_text())
    async with running_stack() as stack:
        sent = [(await run_chatkit(stack, "send", "--as", who, text))[1] for who, text in _SAID]
        _, listed, _ = await run_chatkit(stack, "list", "--as", "bob")
        assert listed == "".join(sent)
        assert f"```\n{_timeless(listed)}```\n" in readme
        await _is_drawn(stack, readme)


async def _is_drawn(stack: RunningStack, readme: str) -> None:
    async with connect(stack.address, token(stack.home, "alice")) as client, client.session() as session:
        screen = ChatScreen(session)
        async with screen.run_test(size=(80, 9)):
            await eventually(lambda: f"```\n{_timeless(_drawn(screen))}\n```\n" in readme)


def _drawn(screen: ChatScreen) -> str:
    """Return all that is on the screen."""
    return "\n".join(strip.text.rstrip() for strip in screen.screen._compositor.render_strips())
