"""`chatkit up`: how it begins and ends."""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Mapping

from pydantic import TypeAdapter

from services.stack.commands.first_steps import console_tokens, curl_lines, ready
from services.stack.home import Home
from services.stack.machine.leftovers import end_leftovers
from services.stack.machine.replicas import parse_replicas
from services.stack.machine.up import Stack
from services.stack.trouble import Trouble


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Run the suite until SIGINT or SIGTERM; where it runs already, it says so, or only shows what was asked for."""
    replicas = parse_replicas(arguments.replicas, arguments.workers)
    home.prepare()
    with home.lock() as is_free:
        if not is_free:
            address = home.state().address
            if address and arguments.curl:
                print(curl_lines(home, address), end="")
                return 0
            print(f"it runs already, at http://{address}" if address else "another `up` is starting it already")
            return 1
        end_leftovers(home, _say)
        return asyncio.run(_run(home, arguments, replicas))


async def _run(home: Home, arguments: argparse.Namespace, replicas: Mapping[str, int]) -> int:
    stack = Stack(home, arguments.port, replicas, _say, keeps_traces=True)
    main = asyncio.ensure_future(_until_cancelled(stack, home, is_curl_shown=arguments.curl))
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


async def _until_cancelled(stack: Stack, home: Home, *, is_curl_shown: bool) -> None:
    began = time.monotonic()
    async with stack.running():
        seconds = time.monotonic() - began
        print(ready(home, stack.address, seconds, console_tokens(home) if _has_console() else {}), flush=True)
        if is_curl_shown:
            print(curl_lines(home, stack.address), flush=True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            _say("stopping the services, the edge, NATS and PostgreSQL")


def _has_console() -> bool:
    """Tell whether the edge shows the web console; it has its settings from the same environment."""
    return TypeAdapter(bool).validate_python(os.environ.get("CHATKIT_CONSOLE", "true"))


def _first(group: ExceptionGroup[Trouble]) -> Trouble:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _say(text: str) -> None:
    print(f"  {text}", flush=True)
