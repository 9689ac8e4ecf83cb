"""What a run has come to, for people and for machines."""

from collections import Counter
from typing import Any

from services.stack.fuzz.inputs import Input
from services.stack.fuzz.run import Finding, Report
from services.stack.terminal import columns, printable

_MOST_SHOWN_BYTES, _MOST_SHOWN_HEADERS, _MOST_VALUE_BYTES = 600, 30, 200
_MOST_LINES = 40


def told(report: Report) -> dict[str, Any]:
    """Return a report as JSON has it."""
    return {
        "seed": report.seed,
        "seconds": round(report.seconds, 1),
        "inputs": report.calls,
        "faces": {
            face: {"inputs": counter.total(), "let_in": report.let_in[face], "answers": dict(counter.most_common())}
            for face, counter in report.answers.items()
            if counter
        },
        "sent_again": report.again,
        "neighbour": {"calls": report.neighbour_calls, "slowest_seconds": round(report.neighbour_slowest, 3)},
        "findings": [_finding(one) for one in report.findings.values()],
    }


def shown(report: Report) -> str:
    """Return a report for people."""
    rows = [
        (str(face), f"{counter.total():,}", f"{report.let_in[face]:,}", _answers(counter))
        for face, counter in report.answers.items()
        if counter
    ]
    rows.append(("together", f"{report.calls:,}", f"{report.let_in.total():,}", ""))
    number, calls, slowest = len(report.findings), report.neighbour_calls, report.neighbour_slowest
    parts = [
        columns(("face", "inputs", "let in", "answers"), rows),
        f"A neighbour made {calls:,} calls meanwhile; the slowest took {slowest:.2f} s.",
        *(
            [f"Sent again, because nobody was there at first: {', '.join(map(str, report.again))}."]
            if report.again
            else []
        ),
        *(_paragraph(one) for one in report.findings.values()),
        f"{number or 'No'} finding{'s' * (number != 1)} with seed {report.seed} in {report.seconds:.0f} s.",
    ]
    return "\n\n".join(parts)


def described(sent: Input) -> str:
    """Return an input as a person can read it."""
    body = sent.body[:_MOST_SHOWN_BYTES]
    cut = f" … {len(sent.body):,} bytes" if len(sent.body) > _MOST_SHOWN_BYTES else ""
    head = b" ".join(name + b": " + value[:_MOST_VALUE_BYTES] + b";" for name, value in sent.head[:_MOST_SHOWN_HEADERS])
    return f"{sent.face} to {sent.place}, {sent.how}, by {sent.caller}: {head!r} {body!r}{cut}"


def _answers(counter: Counter[str]) -> str:
    return ", ".join(f"{code} {number:,}" for code, number in counter.most_common())


def _paragraph(finding: Finding) -> str:
    lines = [printable(line) for line in finding.what.strip().split("\n")]
    shortened = lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES // 2], "…", *lines[-_MOST_LINES // 2 :]]
    head = f"Against “{finding.rule}”, {finding.times} times: {finding.where}"
    repeated = [f"sent: {described(finding.sent)}", f"again: {finding.sent.repeat}"] if finding.sent else []
    return "\n  ".join([head, *shortened, *repeated])


def _finding(finding: Finding) -> dict[str, Any]:
    sent = finding.sent
    return {
        "rule": finding.rule.name,
        "where": finding.where,
        "what": finding.what,
        "times": finding.times,
        **({"number": sent.number, "again": sent.repeat, "sent": described(sent)} if sent is not None else {}),
    }
