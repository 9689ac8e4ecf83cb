"""Checks of processes, by what they answer at the addresses of their figures, and where they listen."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.runtime.release import label
from services.stack.doctor.findings import Finding, Level
from services.stack.figures.reading import figures_of, is_ready, of_each
from services.stack.machine.health import EdgeHealth, Health, NatsHealth, ServiceHealth
from services.stack.machine.replicas import service_of
from services.stack.releases import edge_release, service_release

# These tell nothing at /readyz.
_OTHERS: Mapping[str, Health] = {"edge": EdgeHealth(), "nats": NatsHealth()}


@dataclass(frozen=True, slots=True)
class Process:
    """A process to look at: where it listens, where it tells its figures, and where its log is, as far as is known."""

    name: str
    address: str
    metrics: str = ""
    log: str = ""

    @property
    def kind(self) -> str:
        """What it is a replica of."""
        return service_of(self.name)


def answers_of(processes: Sequence[Process]) -> Mapping[str, bool | None]:
    """Ask processes whether others may turn to them; None for those that do not answer."""
    ready: dict[str, bool | None] = of_each(
        {one.name: one.metrics for one in processes if one.kind not in _OTHERS and one.metrics}, is_ready
    )
    return {one.name: ready[one.name] if one.name in ready else _answers(one) for one in processes}


def check_processes(processes: Sequence[Process], answers: Mapping[str, bool | None]) -> Iterator[Finding]:
    """Name the processes that did not answer, and those that did to which nobody should turn."""
    for one in processes:
        answer = answers[one.name]
        where = f"its log is {one.log}" if one.log else "look at its log"
        if answer is None:
            advice = f"it has ended, starts, or stands still; {where}"
            yield Finding(Level.BROKEN, "processes", f"{one.name} does not answer", advice)
        elif not answer:
            advice = f"it starts, waits for what it needs, or ends; {where}"
            yield Finding(Level.BROKEN, "processes", f"{one.name} is not ready", advice)


def _answers(one: Process) -> bool | None:
    """Ask a process that tells nothing at /readyz where it listens; one of which nobody knows where does not answer."""
    if not one.address:
        return None
    return asyncio.run(_OTHERS.get(one.kind, ServiceHealth())(one.address)) or None


def check_leftovers(names: Sequence[str]) -> Iterator[Finding]:
    """Tell of processes that run on although whatever began them, and would restart them, has ended."""
    if names:
        what = f"{', '.join(names)} run{'s' * (len(names) == 1)} on without the ./chatkit up that began it"
        yield Finding(Level.ODD, "processes", what, "the next ./chatkit up ends what is left")


def check_releases(processes: Sequence[Process], code: str) -> Iterator[Finding]:
    """Compare the releases of processes with one another and with that of the code, if it matters; some say none."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, release in asyncio.run(_releases(processes)).items():
        if release:
            found[release].append(name)
    if len(found) > 1:
        shown = "; ".join(f"{', '.join(names)} {release}" for release, names in sorted(found.items()))
        advice = "restart those of the earlier one, unless an update is under way"
        yield Finding(Level.ODD, "versions", f"processes are of different releases ({shown})", advice)
    elif code and found and code not in found:
        (release,) = found
        advice = "restart ./chatkit up to run this one"
        yield Finding(Level.ODD, "versions", f"what runs is {release}, and the code here is {code}", advice)


async def _releases(processes: Iterable[Process]) -> dict[str, str]:
    asked = [one for one in processes if one.kind != "nats"]
    return dict(zip([one.name for one in asked], await asyncio.gather(*map(_release, asked)), strict=True))


async def _release(one: Process) -> str:
    if one.address:
        return await (edge_release if one.kind == "edge" else service_release)(one.address)
    figures = await asyncio.to_thread(figures_of, one.metrics) if one.metrics else None
    built = figures.by("chatkit_build_info", "version", "commit") if figures is not None else {}
    return next((label(version, commit) for version, commit in built), "")
