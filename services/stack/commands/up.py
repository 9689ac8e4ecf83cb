"""`chatkit up`: what is printed, and how it ends."""

import argparse
import asyncio
import json
import shlex
import shutil
import signal
import time
from collections.abc import Mapping

from services.stack import sign_in
from services.stack.home import Home
from services.stack.machine.leftovers import end_leftovers
from services.stack.machine.replicas import parse_replicas
from services.stack.machine.up import Stack
from services.stack.seed import ALICE, BOB, ROOM
from services.stack.trouble import Trouble

_MESSAGES = "chatkit.messages.v1.MessagesService"


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Run the suite until SIGINT or SIGTERM."""
    replicas = parse_replicas(arguments.replicas, arguments.workers)
    home.prepare()
    with home.lock() as is_free:
        if not is_free:
            address = home.state().address
            print(f"it runs already, at http://{address}" if address else "another `up` is starting it already")
            return 1
        end_leftovers(home, _say)
        return asyncio.run(_run(home, arguments.port, replicas))


async def _run(home: Home, port: int, replicas: Mapping[str, int]) -> int:
    stack = Stack(home, port, replicas, _say)
    main = asyncio.ensure_future(_until_cancelled(stack, home))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, main.cancel)
    try:
        await main
    except asyncio.CancelledError:
        _say("stopped")
    except ExceptionGroup as group:
        # Parts that start side by side fail side by side; one sentence is enough.
        troubles, rest = group.split(Trouble)
        if rest is not None or troubles is None:
            raise
        raise _first(troubles) from None
    return 0


async def _until_cancelled(stack: Stack, home: Home) -> None:
    began = time.monotonic()
    async with stack.running():
        print(_ready(home, stack.address, time.monotonic() - began), flush=True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            _say("stopping the services, the edge, NATS and PostgreSQL")


def _first(group: ExceptionGroup[Trouble]) -> Trouble:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _ready(home: Home, address: str, seconds: float) -> str:
    tokens = {user_id: sign_in.token(home, user_id) for user_id in (ALICE, BOB)}
    lines = _curl_lines(address, tokens) if shutil.which("curl") else _own_lines(home)
    shown = "\n\n".join(f"  {what}:\n{line}" for what, line in lines.items())
    return (
        f"ready after {seconds:.1f} s: http://{address} takes gRPC, gRPC-Web, JSON and Server-Sent Events\n\n"
        + "\n".join(f"  token of {user_id}: {text}" for user_id, text in tokens.items())
        + f"\n\n{shown}\n\n  Ctrl-C stops everything; the state stays in {home.folder}\n"
    )


def _curl_lines(address: str, tokens: dict[str, str]) -> dict[str, str]:
    def line(options: str, method: str, user_id: str, body: str) -> str:
        headers = f"-H 'content-type: application/json' -H 'authorization: Bearer {tokens[user_id]}'"
        return f"curl {options} {headers} http://{address}/{_MESSAGES}/{method} -d {body}"

    room = json.dumps({"roomId": ROOM})
    message = {"roomId": ROOM, "requestId": "NOW", "parts": [{"contentType": "text/plain", "content": "Hello, Bob"}]}
    # Each time it is run it is another message.
    text = shlex.quote(json.dumps(message)).replace("NOW", "'$(date +%s%N)'")
    return {
        "watch as bob": line("-N", "SubscribeRoom", BOB, shlex.quote(room)),
        "send as alice": line("-s", "SendMessage", ALICE, text),
        "list": line("-s", "ListMessages", BOB, shlex.quote(room)),
    }


def _own_lines(home: Home) -> dict[str, str]:
    where = f"--home {shlex.quote(str(home.folder))}"
    return {
        "watch as bob": f"./chatkit watch --as bob {where}",
        "send as alice": f"./chatkit send --as alice {where} 'Hello, Bob'",
        "list": f"./chatkit list --as bob {where}",
    }
