"""The suite that is fuzzed: one of its own in a temporary home, with limits of rate and number out of the way."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatkit_client import Client, connect
from services.stack.figures.asking import ask
from services.stack.fuzz.inputs import CONTENT, EDGE
from services.stack.fuzz.making.callers import Signing
from services.stack.home import Home
from services.stack.machine.recorded import environment
from services.stack.machine.replicas import ONE_OF_EACH
from services.stack.machine.up import Stack
from services.stack.roles import SERVICES

Say = Callable[[str], None]
# Or nearly all that is sent would be refused for its rate, and soon no more rooms could be made.
_LIMITS = {
    f"CHATKIT_LIMIT_{name}": "1000000"
    for name in (
        "REQUESTS_PER_USER_PER_SECOND",
        "SENDS_PER_USER_PER_SECOND",
        "ROOMS_CREATED_PER_USER",
        "ROOMS_CREATED_PER_USER_PER_DAY",
        "ROOMS_PER_USER",
        "ROOMS_GIVEN_PER_USER",
    )
}
_NO_PROXY = (("grpc.enable_http_proxy", 0),)
_HEALTHY = 200


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite that runs."""

    home: Home
    edge: str
    signing: Signing

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where the places are that inputs name."""
        found = {running.name: running.address for running in self.home.state().processes}
        content = environment(self.home, "files")["CHATKIT_HTTP_LISTEN"]
        return {**{name: found[name] for name in SERVICES}, EDGE: self.edge, CONTENT: content}

    def is_alive(self, seconds: float) -> bool:
        """Ask the edge whether it serves."""
        answer = ask(self.edge, "/health", seconds)
        return answer is not None and answer[0] == _HEALTHY

    @asynccontextmanager
    async def client(self, caller: str) -> AsyncIterator[Client]:
        """Connect as a caller."""

        async def sign_in() -> str:
            return self.signing.token(caller)

        async with connect(self.edge, sign_in, options=_NO_PROXY) as client:
            yield client


@asynccontextmanager
async def running(say: Say) -> AsyncIterator[Suite]:
    """Run a suite while the context is open; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="chatkit-fuzz-") as folder, _out_of_the_way():
        home = Home(Path(folder))
        home.prepare()
        stack = Stack(home, 0, ONE_OF_EACH, say)
        async with stack.running():
            yield Suite(home, stack.address, Signing(home))


@contextmanager
def _out_of_the_way() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _LIMITS}
    os.environ.update(_LIMITS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
