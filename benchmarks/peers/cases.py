"""What is measured at the suite and at a peer: the same texts, as many rooms, and everybody in them live.

A room of the peer is one of its rooms of several, also where two are in it, so that both have a history and one order.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load.process import in_own_process
from benchmarks.load.xmpp import chats, history
from benchmarks.load.xmpp.jobs import Chat, ChatsJob, HistoryJob
from benchmarks.peers.ejabberd import Ejabberd
from benchmarks.suite import Suite
from benchmarks.workloads import last_messages, live_pairs, one_room

PEER = "ejabberd"
TEXT_BYTES = live_pairs.TEXT_BYTES
PAIRS = "50 pairs, both live"
# Who measures is told how much it does, and a prefix for rooms that no other measurement has.
Measure = Callable[[Options, str], Awaitable[Figure]]


@dataclass(frozen=True, slots=True)
class Case:
    """Work that both do: in several ways at the suite, in one at the peer."""

    workload: str
    name: str
    ours: Mapping[str, Measure]
    theirs: Measure


Make = Callable[[Suite, Ejabberd, Options], Awaitable[list[Case]]]


async def _pairs(suite: Suite, peer: Ejabberd, _options: Options) -> list[Case]:
    def send(case: live_pairs.Case, via: str) -> Measure:
        return lambda options, prefix: live_pairs.measure(suite, options, case, via, prefix)

    async def theirs(options: Options, prefix: str) -> Figure:
        rooms = peer.rooms(f"{prefix}w1", live_pairs.PAIRS, live_pairs.MEMBERS)
        return await _chat(suite, peer, _job(suite, peer, options, rooms, counts_sends=True), PAIRS)

    cases = (live_pairs.CALLS, live_pairs.STREAMS)
    ours = {f"{case.name}, {via}": send(case, via) for case in cases for via in ("services", "edge")}
    return [Case(live_pairs.NAME, PAIRS, ours, theirs)]


async def _one_room(suite: Suite, peer: Ejabberd, _options: Options) -> list[Case]:
    def send(case: one_room.Case, via: str) -> Measure:
        return lambda options, prefix: one_room.measure(suite, options, case, via, prefix, TEXT_BYTES)

    def theirs(case: one_room.Case) -> Measure:
        async def measure(options: Options, prefix: str) -> Figure:
            rooms = peer.rooms(f"{prefix}w2-{case.senders}-{case.per_second:.0f}", 1, one_room.MEMBERS)
            longer = replace(options, seconds=options.seconds * case.longer)
            job = _job(suite, peer, longer, rooms, senders=case.senders, per_second=case.per_second)
            return await _chat(suite, peer, job, case.name)

        return measure

    return [
        Case(one_room.NAME, case.name, {via: send(case, via) for via in ("services", "edge")}, theirs(case))
        for case in (one_room.ONE, one_room.SIXTEEN, one_room.PACED)
    ]


async def _last_messages(suite: Suite, peer: Ejabberd, options: Options) -> list[Case]:
    """Fill a room at both, once."""
    suite.say(f"{last_messages.NAME}: filling a room of both")
    ours = await last_messages.fill(suite, options, "peers-w4", TEXT_BYTES)
    (theirs,) = peer.rooms("w4", 1, last_messages.CLIENTS)
    # What is copied are messages that were sent.
    few = replace(options, seconds=0.2)
    await in_own_process(chats.run, _job(suite, peer, few, [theirs]))
    await peer.fill(theirs, last_messages.size(options))

    def read(via: str) -> Measure:
        return lambda options, _: last_messages.read(suite, options, ours, via)

    async def read_theirs(options: Options, _prefix: str) -> Figure:
        suite.say(f"{last_messages.NAME}: {last_messages.CASE}, {PEER}")
        job = HistoryJob(peer.address, theirs, last_messages.PAGE, peer.groups, options.seconds, options.warm_up)
        return of_calls(last_messages.NAME, last_messages.CASE, PEER, "page", await in_own_process(history.run, job))

    ways = {via: read(via) for via in ("services", "edge")}
    return [Case(last_messages.NAME, last_messages.CASE, ways, read_theirs)]


CASES: Mapping[str, Make] = {
    live_pairs.NAME: _pairs,
    one_room.NAME: _one_room,
    last_messages.NAME: _last_messages,
}


def _job(suite: Suite, peer: Ejabberd, options: Options, rooms: list[Chat], **told: Any) -> ChatsJob:
    return ChatsJob(
        address=peer.address,
        rooms=rooms,
        groups=peer.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        namespace=suite.namespace(),
        text_bytes=TEXT_BYTES,
        **told,
    )


async def _chat(suite: Suite, peer: Ejabberd, job: ChatsJob, case: str) -> Figure:
    """Measure sends at the peer, and see that what was acknowledged is in its archive."""
    workload = live_pairs.NAME if job.counts_sends else one_room.NAME
    suite.say(f"{workload}: {case}, {PEER}")
    found = await in_own_process(chats.run, job)
    if job.counts_sends:
        figure = of_calls(workload, case, PEER, "send", found)
    else:
        figure = one_room.of_deliveries(workload, case, PEER, found)
    stored = await peer.stored(job.rooms)
    lost = found["lost"] + max(0, found["acknowledged"] - stored)
    counts = {name: found[name] for name in ("expected", "delivered", "doubled")}
    return replace(figure, details={**figure.details, **counts, "lost": lost, "stored": stored})
