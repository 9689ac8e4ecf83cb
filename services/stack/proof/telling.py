"""A verdict for people: what was done and seen, and each promise that was not kept, with the records that show it."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from services.stack.proof.faults import Fault, Rule
from services.stack.proof.history import Kind
from services.stack.proof.verdict import Verdict

_MOST_SHOWN = 5
# Fields that say what is plain already, or nothing in this record.
_NOTHING = (None, "", (), 0, float("inf"))


def lines(verdict: Verdict) -> list[str]:
    """Return it."""
    one = verdict
    told = {
        "written": f"{_kinds(one)} acknowledged; {one.unknown:,} without an answer, {one.refused:,} refused",
        "followed": f"{one.arrivals:,} entries; {one.resumed:,} streams resumed, {one.snapshots:,} began anew",
        "read": f"{verdict.pages:,} pages, {verdict.standings:,} read states, {verdict.attachments:,} files",
        "moved": f"{verdict.cursors:,} cursors; {verdict.mutings:,} times somebody might not write",
        "erased": f"{verdict.erasures:,} users and rooms",
        "removed": _leaks(verdict.leak_seconds),
    }
    return [*(f"{name:<9} {what}" for name, what in told.items()), *_conclusion(verdict)]


def _kinds(verdict: Verdict) -> str:
    return ", ".join(f"{verdict.acknowledged[kind]:,} {kind}s" for kind in Kind)


def _leaks(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nobody"
    late = seconds[min(len(seconds) * 99 // 100, len(seconds) - 1)]
    heard = sum(one > 0 for one in seconds)
    return (
        f"{len(seconds):,} times somebody, of whom {heard:,} heard something more: 99 of 100 for at most"
        f" {late * 1_000:,.0f} ms, one for {seconds[-1] * 1_000:,.0f} ms"
    )


def _conclusion(verdict: Verdict) -> Iterator[str]:
    if verdict.is_sound:
        yield "Every promise was kept."
        return
    if not verdict.faults:
        yield "Nothing was tried, so nothing is proved."
        return
    broken = verdict.broken()
    yield from (f"BROKEN: {rule} ({broken[rule]:,} times)" for rule in Rule if broken[rule])
    for fault in verdict.faults[:_MOST_SHOWN]:
        yield from _shown(fault)


def _shown(fault: Fault) -> Iterator[str]:
    yield f"  {fault}"
    yield from (f"    {_record(one)}" for one in fault.shown_by)


def _record(one: Any) -> str:
    shown = ((each.name, getattr(one, each.name)) for each in fields(one))
    told = ", ".join(f"{name} {_value(value)}" for name, value in shown if value not in _NOTHING)
    return f"{type(one).__name__}: {told}"


def _value(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
