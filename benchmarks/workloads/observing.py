"""observing: W1 and W2 through the edge, with figures scraped and traces sent, and with neither.

Two suites of one machine are measured by turns, the other one idle meanwhile. Figures are kept and calls are traced by
both, because nothing switches that off; what it costs of a call is measured by itself.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import grpc

from benchmarks import echo
from benchmarks.figures import Figure, Options
from benchmarks.observed_call import observed_call_us
from benchmarks.pairs import compared, figure_of
from benchmarks.suite import Say, Suite, bare_server, running
from benchmarks.workloads import durable_sends, one_room
from services.stack.figures.asking import ask

NAME = "observing"
_VIA = "edge"
_ROUNDS, _QUICK_ROUNDS = 6, 2
# As Prometheus says what it takes, and how often it comes.
_ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
_SCRAPE_SECONDS = 15.0
_NAMES = ("nothing", "observed")
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NOTHING: Mapping[str, str | None] = {
    _ENDPOINT: None,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": None,
    # No call has a line for being slow.
    "CHATKIT_SLOW_CALL_SECONDS": "3600",
}
Measure = Callable[[Suite, Options, str], Awaitable[Figure]]


def _in_one_room(case: one_room.Case) -> Measure:
    return lambda suite, options, prefix: one_room.measure(suite, options, case, _VIA, prefix)


_CASES: Mapping[str, Measure] = {
    f"W1: {durable_sends.CASE}": lambda suite, options, prefix: durable_sends.send(suite, options, _VIA, prefix),
    **{f"W2: {case.name}": _in_one_room(case) for case in (one_room.ONE, one_room.SIXTEEN)},
}


class Scraper:
    """Asks all processes of a suite for their figures, as Prometheus does."""

    def __init__(self, addresses: Iterable[str], seconds: float) -> None:
        self.answers = 0
        self._addresses = list(addresses)
        self._seconds = seconds

    @asynccontextmanager
    async def scraping(self) -> AsyncIterator[None]:
        """Go on while the context is open: for the first time after a third of the interval."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        await asyncio.sleep(self._seconds / 3)
        while True:
            for address in self._addresses:
                answer = await asyncio.to_thread(ask, address, "/metrics", accept=_ACCEPT)
                self.answers += answer is not None
            await asyncio.sleep(self._seconds)


async def run(say: Say, options: Options) -> list[Figure]:
    """Measure every case in every round at both suites."""
    always = Figure(NAME, "kept of each call, always", "services", "call", details={"us": observed_call_us()})
    # As many scrapes fall into each window as into its time; a quick run has them more often.
    options = options if options.quick else replace(options, seconds=max(options.seconds, _SCRAPE_SECONDS))
    options = options if options.rounds else replace(options, rounds=options.size(_ROUNDS, _QUICK_ROUNDS))
    async with bare_server() as (taker, _):
        async with AsyncExitStack() as stack:
            off = await _started(stack, say, options, NOTHING)
            on = await _started(stack, say, options, _observed(taker, options))
            scraper = Scraper(on.home.state().metrics.values(), min(_SCRAPE_SECONDS, options.seconds))
            found = [one for case in _CASES.items() for one in await by_turns(*case, off, on, scraper, options)]
            say("stopping")
        # Whoever ends sends the spans that are left.
        exported = await _exported(taker)
    # Where no span came, nothing was measured; of the little that a quick run does it may be so.
    is_too_small = int(not exported and not options.quick)
    return [replace(one, details={**one.details, "too_small": is_too_small}) for one in found] + [always]


async def by_turns(
    case: str, measure: Measure, off: Suite, on: Suite, scraper: Scraper, options: Options
) -> list[Figure]:
    """Measure a case in each round at both suites, and compare what was found."""
    unobserved: list[Figure] = []
    observed: list[Figure] = []
    scrapes = -scraper.answers
    for number in range(options.rounds):
        # Whichever was second is first in the next round, so that a machine that gets slower favours none.
        for is_on in (False, True) if number % 2 == 0 else (True, False):
            suite = on if is_on else off
            suite.say(f"{NAME}: {case}, round {number + 1} of {options.rounds}, {_NAMES[is_on]}")
            async with scraper.scraping() if is_on else nullcontext():
                found = await measure(suite, options, f"{NAME}-{number}-")
            (observed if is_on else unobserved).append(replace(found, workload=NAME))
    scrapes += scraper.answers
    before, after = (
        figure_of(f"{case}, {name}", rounds) for name, rounds in zip(_NAMES, (unobserved, observed), strict=True)
    )
    compared_after = compared(before, after)
    return [before, replace(compared_after, details={**compared_after.details, "scrapes": scrapes})]


def _observed(taker: str, options: Options) -> Mapping[str, str | None]:
    """Return what the environment of a suite says that is observed; more is sampled where little is done."""
    return {
        **dict.fromkeys(NOTHING),
        _ENDPOINT: f"http://{taker}",
        "CHATKIT_TRACE_PERCENT": str(options.size(1, 10)),
    }


async def _started(stack: AsyncExitStack, say: Say, options: Options, told: Mapping[str, str | None]) -> Suite:
    """Run a suite in this environment until the stack is left; processes that are started again have the same."""
    with variables(told):
        return await stack.enter_async_context(running(say, options.size(10_000, 100)))


@contextmanager
def variables(told: Mapping[str, str | None]) -> Iterator[None]:
    """Let the environment say so while the context is open; None says nothing."""
    before = {name: os.environ.get(name) for name in told}
    _set(told)
    try:
        yield
    finally:
        _set(before)


def _set(told: Mapping[str, str | None]) -> None:
    for name, value in told.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


async def _exported(taker: str) -> int:
    """Return how many bytes of spans have come."""
    async with grpc.aio.insecure_channel(taker, options=(("grpc.enable_http_proxy", 0),)) as channel:
        ask_it: Any = channel.unary_unary(echo.EXPORTED)
        return int(await ask_it(b""))
