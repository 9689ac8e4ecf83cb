"""`chatkit chat`: a conversation on the whole terminal."""

import argparse
import asyncio
import logging
import os
import sys

from services.stack.home import Home
from services.stack.trouble import Trouble


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Show a user's rooms until they quit."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise Trouble("chat needs a terminal; send, list and watch do without one")
    # What libraries say on standard error would stand in the picture.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger("chatkit_client").addHandler(logging.NullHandler())
    ending = asyncio.run(_run(home, arguments.user))
    if ending is not None:
        raise Trouble(ending)
    return 0


async def _run(home: Home, user_id: str) -> str | None:
    # After the environment is set.
    from services.stack.commands.connecting import connected  # noqa: PLC0415
    from services.stack.screen.app import ChatScreen  # noqa: PLC0415

    async with connected(home, user_id) as client, client.session() as session:
        return await ChatScreen(session).run_async()
