"""`chatkit check`: whether a suite keeps its promises, by the record of clients that use it as people do."""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from chatkit_client import ChatkitError, Client, connect
from services.runtime.identity.api_keys import mint_token, read_keys
from services.stack import sign_in
from services.stack.home import Home
from services.stack.machine.up import Stack
from services.stack.proof import telling
from services.stack.proof.recording import Recording
from services.stack.proof.rounds import Connect, Course, checked
from services.stack.proof.verdict import Verdict
from services.stack.trouble import Trouble

# Who was removed may hear for so long what is on its way, and for longer while rooms can't be reached.
_LEAK_SECONDS, _LEAK_UNDER_FAULTS_SECONDS = 1.0, 30.0
_ROUND_SECONDS = 60.0
_LIFETIME = timedelta(minutes=30)
# Two of each of which one must be told by the other what happened.
_REPLICAS = {"users": 2, "rooms": 2, "messages": 2, "files": 1}
_OPTIONS = (("grpc.enable_http_proxy", 0),)
_SECURE = "https://"


def run(_home: Home, arguments: argparse.Namespace) -> int:
    """Check; the exit status is 1 when a promise was not kept, or nothing could be tried."""
    if arguments.against and not (arguments.keys and arguments.instance):
        raise Trouble("a deployment is checked with all of --against, --keys and --instance")
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    _say(f"seed {seed}")
    try:
        verdict = asyncio.run(_against(arguments, seed) if arguments.against else _alone(arguments, seed))
    except* ChatkitError as group:
        raise Trouble(f"the suite does not answer: {_first(group)}") from None
    print(json.dumps({"seed": seed, **verdict.told()}) if arguments.json else "\n".join(telling.lines(verdict)))
    return 0 if verdict.is_sound else 1


async def _against(arguments: argparse.Namespace, seed: int) -> Verdict:
    """Check a deployment, of which nothing is disturbed, and in which nothing stays."""
    key = read_keys(Path(arguments.keys))[0]
    address: str = arguments.against
    credentials = grpc.ssl_channel_credentials() if address.startswith(_SECURE) else None

    def connected(user_id: str | None) -> Client:
        def fetch() -> Awaitable[str]:
            token = mint_token(key, arguments.instance, user_id, user_id is None, _LIFETIME, datetime.now(UTC))
            return asyncio.sleep(0, token)

        return connect(address.removeprefix(_SECURE), fetch, credentials=credentials, options=_OPTIONS)

    return await checked(_course(arguments, seed, _LEAK_SECONDS), connected, _wait, _say)


async def _alone(arguments: argparse.Namespace, seed: int) -> Verdict:
    """Check a suite that runs for this alone, and ends with it."""
    with tempfile.TemporaryDirectory(prefix="chatkit-check-") as folder:
        home = Home(Path(folder))
        home.prepare()
        stack = Stack(home, 0, _REPLICAS, _say)
        async with stack.running():
            connected = _connect(home, stack.address)
            return await checked(_course(arguments, seed, _LEAK_SECONDS), connected, _wait, _say)


def _connect(home: Home, address: str) -> Connect:
    def connected(user_id: str | None) -> Client:
        def fetch() -> Awaitable[str]:
            return asyncio.sleep(0, sign_in.token(home, user_id, su=user_id is None, lifetime=_LIFETIME))

        return connect(address, fetch, options=_OPTIONS)

    return connected


def _course(arguments: argparse.Namespace, seed: int, leak_seconds: float) -> Course:
    # What a run before has left, if it was killed, is in nobody's way.
    name = f"check-{secrets.token_hex(3)}"
    seconds = arguments.minutes * 60
    return Course(name, seed, seconds, min(seconds, _ROUND_SECONDS), leak_seconds)


async def _wait(_recording: Recording, until: float) -> list[str]:
    await asyncio.sleep(until - time.monotonic())
    return []


def _first(group: BaseExceptionGroup[ChatkitError]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
