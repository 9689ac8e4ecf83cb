"""Sends inputs, several at once, and keeps what was found."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.stack.fuzz.inputs import Face, Input
from services.stack.fuzz.judge import Rule, Verdict, judged
from services.stack.fuzz.making.maker import Maker
from services.stack.fuzz.sending import Sending
from services.stack.fuzz.watching.logs import shortened

_AT_ONCE = 8
_MAY_PASS, _MORE_TIMES = {Rule.HANGING, Rule.ABSENT}, 2


@dataclass(slots=True)
class Finding:
    """A rule that did not hold, the first time it was seen, and how often it was."""

    rule: Rule
    where: str
    what: str
    sent: Input | None = None
    times: int = 1


@dataclass
class Report:
    """What was sent and answered, and what was found."""

    seed: int
    answers: dict[Face, Counter[str]] = field(default_factory=lambda: {face: Counter() for face in Face})
    let_in: Counter[Face] = field(default_factory=Counter)
    findings: dict[tuple[Rule, str], Finding] = field(default_factory=dict)
    # Those that were answered only when they were sent again, by number, and those that were not even then.
    again: list[int] = field(default_factory=list)
    seconds: float = 0.0
    neighbour_calls: int = 0
    neighbour_slowest: float = 0.0
    # What is on its way, by number: so that what ends a process can be told.
    open: dict[int, Input] = field(default_factory=dict)
    _is_closed: bool = False

    @property
    def calls(self) -> int:
        """How many inputs were sent."""
        return sum(counter.total() for counter in self.answers.values())

    def close(self, seconds: float) -> None:
        """Take no more findings: the suite is stopped."""
        self.seconds = seconds
        self._is_closed = True

    def hear(self, text: str) -> None:
        """Take note of what is said of a process that has ended, with what was under way."""
        if " ended" in text:
            numbers = ", ".join(map(str, sorted(self.open)))
            self.find(Rule.ENDED, text.split(maxsplit=1)[0], f"{text.partition(';')[0]}; under way: {numbers}")

    def find(self, rule: Rule, where: str, what: str, sent: Input | None = None) -> None:
        """Take note of a finding; those that differ in numbers only are one."""
        key = (rule, shortened(what))
        if self._is_closed:
            return
        if key in self.findings:
            self.findings[key].times += 1
        else:
            self.findings[key] = Finding(rule, where, what, sent)


class Fuzzing:
    """Sends the inputs of a maker; `is_alive` asks the suite something simple."""

    def __init__(self, maker: Maker, sending: Sending, report: Report, is_alive: Callable[[], bool]) -> None:
        self._maker = maker
        self._sending = sending
        self._report = report
        self._is_alive = is_alive

    async def send_all(self, numbers: Iterator[int], until: float) -> None:
        """Send inputs, until a time of the monotonic clock."""

        async def send_some() -> None:
            for number in numbers:
                await self.send(self._maker.input(number))
                if time.monotonic() > until:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(send_some())

    async def send(self, sent: Input) -> None:
        """Send an input, judge what comes back and count it.

        What only a machine that is busy may explain is sent again, and is no finding when it is answered then.
        """
        self._report.open[sent.number] = sent
        try:
            verdict = await self._judged(sent)
            if verdict.broken in _MAY_PASS:
                self._report.again.append(sent.number)
                for _ in range(_MORE_TIMES):
                    verdict = await self._judged(sent) if verdict.broken in _MAY_PASS else verdict
        finally:
            del self._report.open[sent.number]
        self._report.answers[sent.face][verdict.code] += 1
        self._report.let_in[sent.face] += verdict.is_let_in
        if verdict.broken is not None:
            self._report.find(verdict.broken, sent.what, verdict.what, sent)

    async def _judged(self, sent: Input) -> Verdict:
        try:
            return judged(sent, await self._sending.send(sent))
        except TimeoutError:
            seconds = f"{self._sending.answer_seconds:.0f} s"
            is_alive = await asyncio.to_thread(self._is_alive)
            what = f"no answer within {seconds}" if is_alive else f"nobody is answered within {seconds}"
            return Verdict("nothing", False, Rule.HANGING, what)
        except ValueError as error:
            # Bytes that are no HTTP, as far as a client can tell.
            return Verdict("unreadable", False, Rule.CUT, f"the answer can't be read: {error}")
