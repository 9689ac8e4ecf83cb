"""`chatkit check`: whether a suite keeps its promises, by the record of clients that use it as people do."""

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from chatkit_client import ChatkitError, Client, connect
from services.runtime.identity.api_keys import mint_token, read_keys
from services.stack import sign_in
from services.stack.chaos.kinds import parse_kinds
from services.stack.chaos.suite import disturbed
from services.stack.commands.proving.disturbing import disturbing
from services.stack.commands.proving.growth import Growth
from services.stack.home import Home
from services.stack.proof import telling
from services.stack.proof.recording import Recording
from services.stack.proof.rounds import Connect, Course, checked
from services.stack.proof.verdict import Verdict
from services.stack.trouble import Trouble

# Who was removed may hear for so long what is on its way, and for longer while rooms can't be reached.
_LEAK_SECONDS, _LEAK_UNDER_FAULTS_SECONDS = 1.0, 30.0
_ROUND_SECONDS = 60.0
# Longer than any check, and than any clock is wrong.
_LIFETIME = timedelta(days=8)
# Two of each of which one must be told by the other what happened.
REPLICAS = {"users": 2, "rooms": 2, "messages": 2, "files": 1}
_OPTIONS = (("grpc.enable_http_proxy", 0),)
_SECURE = "https://"
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, how many faults of each kind the suite has survived, and why others could not be tried."""

    verdict: Verdict
    survived: Counter[str] = field(default_factory=Counter)
    left_out: Mapping[str, str] = field(default_factory=dict)
    growth: Growth | None = None

    @property
    def grown(self) -> list[str]:
        """What has grown without an end in sight."""
        return self.growth.grown() if self.growth is not None else []


def run(_home: Home, arguments: argparse.Namespace) -> int:
    """Check; the exit status is 1 when a promise was not kept, or nothing could be tried."""
    if arguments.against and not (arguments.keys and arguments.instance):
        raise Trouble("a deployment is checked with all of --against, --keys and --instance")
    if arguments.against and arguments.faults not in (None, _NONE):
        raise Trouble("a deployment is not disturbed: --faults is of a suite that runs for the check alone")
    # What a time limit sends ends its suite too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    _say(f"seed {seed}")
    try:
        outcome = asyncio.run(_against(arguments, seed) if arguments.against else _alone(arguments, seed))
    except* ChatkitError as group:
        raise Trouble(f"the suite does not answer: {_first(group)}") from None
    print(_json(seed, outcome) if arguments.json else "\n".join(_lines(outcome)))
    return 0 if outcome.verdict.is_sound and not outcome.grown else 1


async def _against(arguments: argparse.Namespace, seed: int) -> Outcome:
    """Check a deployment, of which nothing is disturbed, and in which nothing stays."""
    key = read_keys(Path(arguments.keys))[0]
    address: str = arguments.against
    credentials = grpc.ssl_channel_credentials() if address.startswith(_SECURE) else None

    def token(user_id: str | None) -> str:
        return mint_token(key, arguments.instance, user_id, user_id is None, _LIFETIME, datetime.now(UTC))

    connected = _connecting(address.removeprefix(_SECURE), token, credentials)
    return Outcome(await checked(_course(arguments, seed, _LEAK_SECONDS), connected, _wait, _say))


async def _alone(arguments: argparse.Namespace, seed: int) -> Outcome:
    """Check a suite that runs for this alone, and ends with it."""
    kinds = [] if arguments.faults == _NONE else parse_kinds(arguments.faults or "")
    with tempfile.TemporaryDirectory(prefix="chatkit-check-") as folder:
        async with disturbed(
            Path(folder), REPLICAS, _say, through_relays=bool(kinds), on_small_disks=bool(kinds)
        ) as suite:
            connected = connecting(suite.home, suite.stack.address)
            growth = Growth(suite, Path(arguments.samples) if arguments.samples else None)
            watching = asyncio.create_task(growth.watch())
            try:
                if not kinds:
                    verdict = await checked(_course(arguments, seed, _LEAK_SECONDS), connected, _wait, _say)
                    return Outcome(verdict, growth=growth)
                faults = disturbing(suite, kinds, seed)
                course = _course(arguments, seed, _LEAK_UNDER_FAULTS_SECONDS)
                verdict = await checked(course, connected, faults, _say)
                return Outcome(verdict, faults.survived, faults.left_out, growth)
            finally:
                watching.cancel()


def _lines(outcome: Outcome) -> list[str]:
    survived = ", ".join(f"{name} {count}" for name, count in sorted(outcome.survived.items()))
    told = [f"faults    {outcome.survived.total():,} survived: {survived}"] if survived else []
    left_out = [f"left out  {name}: {why}" for name, why in outcome.left_out.items()]
    grown = [f"GROWS     {what}" for what in outcome.grown]
    return [*told, *left_out, *grown, *telling.lines(outcome.verdict)]


def _json(seed: int, outcome: Outcome) -> str:
    faults = {"survived": dict(outcome.survived), "left_out": outcome.left_out}
    held = outcome.growth.told() if outcome.growth is not None else []
    return json.dumps({"seed": seed, **faults, "grown": outcome.grown, "held": held, **outcome.verdict.told()})


def connecting(home: Home, address: str) -> Connect:
    """Connect as anybody to the suite of a home."""

    def token(user_id: str | None) -> str:
        return sign_in.token(home, user_id, su=user_id is None, lifetime=_LIFETIME)

    return _connecting(address, token)


def _connecting(
    address: str, token: Callable[[str | None], str], credentials: grpc.ChannelCredentials | None = None
) -> Connect:
    def connected(user_id: str | None) -> Client:
        def fetch() -> Awaitable[str]:
            return asyncio.sleep(0, token(user_id))

        return connect(address, fetch, credentials=credentials, options=_OPTIONS)

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
