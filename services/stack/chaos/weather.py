"""Links that break, stand still or are slow, and a bus on which messages get lost or come twice or in another order."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.stack.chaos.links import NATS, Link, links, told
from services.stack.chaos.relay import Weather
from services.stack.chaos.relays import Relays
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.trouble import Trouble

_NO_RELAYS = "its processes are connected directly, without relays between them"


def without_relays(suite: Suite) -> str:
    """Say why nothing can happen to links, where the suite has no relays."""
    return _NO_RELAYS if suite.relays is None else ""


def cut(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link whose connections are cut."""
    return _of_link(chance, replicas, "is cut", Weather(), is_cut=True)


def refuse(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link that is cut and on which no connection can be made for a while."""
    return _of_link(chance, replicas, "is cut and takes no new connections", Weather(refuses=True), is_cut=True)


def partition(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link on which nothing passes, while its connections stay."""
    return _of_link(chance, replicas, "lets nothing pass", Weather(stalls_there=True, stalls_back=True))


def half_open(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link on which nothing passes until its connections, which stay that long, are cut."""
    stalled = Weather(stalls_there=True, stalls_back=True)
    return _of_link(chance, replicas, "has half-open connections", stalled, is_cut_after=True)


def one_way(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link on which no answer passes."""
    return _of_link(chance, replicas, "lets no answer pass", Weather(stalls_back=True))


def delay(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Choose a link on which all comes later, both ways."""
    seconds = chance.uniform(0.02, 0.2)
    return _of_link(chance, replicas, f"is {seconds * 1000:.0f} ms late each way", Weather(delay_seconds=seconds))


def drop(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Let the bus lose half of its messages."""
    return _of_bus(chance, "drop", "NATS loses every other message")


def double(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Let the bus bring half of its messages twice."""
    return _of_bus(chance, "double", "NATS brings every other message twice")


def reorder(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Let half of the bus's messages be overtaken."""
    return _of_bus(chance, "reorder", "NATS brings messages in another order")


def _of_link(
    chance: random.Random,
    replicas: Mapping[str, int],
    what: str,
    weather: Weather,
    *,
    is_cut: bool = False,
    is_cut_after: bool = False,
) -> Disturbance:
    link, seconds = chance.choice(links(replicas)), chance.uniform(1, 6)
    happening = partial(_faring, link, weather, is_cut, is_cut_after)
    return Disturbance(f"{told(link)} {what}", frozenset({told(link)}), seconds, happening)


@asynccontextmanager
async def _faring(
    link: Link, weather: Weather, is_cut: bool, is_cut_after: bool, suite: Suite, _losses: Losses
) -> AsyncIterator[None]:
    relays = _relays(suite)
    async with relays.faring(link, weather, is_cut=is_cut):
        try:
            yield
        finally:
            if is_cut_after:
                await relays.cut(link)


def _of_bus(chance: random.Random, how: str, name: str) -> Disturbance:
    weather = Weather(mangles=how, seed=chance.randrange(1_000_000))
    return Disturbance(name, frozenset({NATS}), chance.uniform(2, 6), partial(_mangled, weather))


@asynccontextmanager
async def _mangled(weather: Weather, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    relays = _relays(suite)
    async with AsyncExitStack() as opened:
        for link in links(suite.replicas):
            if link[1] == NATS:
                await opened.enter_async_context(relays.faring(link, weather))
        yield


def _relays(suite: Suite) -> Relays:
    if suite.relays is None:
        raise Trouble(_NO_RELAYS)
    return suite.relays
