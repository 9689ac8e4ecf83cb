"""A trace as lines of a terminal: each span below the one that it is a part of, with its place in time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from services.stack.terminal import printable
from services.stack.traces.describing import Relatives, described, title
from services.stack.traces.reader import Found, Span

_NANO, _MILLION = 1_000_000_000, 1_000_000
_GAP = "  "
_HEADS = ("process", "from ms", "took ms")
_NUMBER_WIDE = 8
# What lies deeper is not indented further.
_DEEPEST = 90
_NARROWEST_NAME, _NARROWEST_BAR, _WIDEST_BAR = 16, 8, 40
# What has no part that would explain it, and takes so much of the whole, stands out.
_SLOW_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class _Row:
    """A span with the lines of the tree before its name, and before what is said below it."""

    span: Span
    branch: str
    below: str


@dataclass(frozen=True, slots=True)
class _Widths:
    name: int
    process: int
    bar: int


@dataclass(frozen=True, slots=True)
class _Scale:
    """When the whole trace began, and how long it took, in nanoseconds."""

    began: int
    whole: int


def lines(found: Found, width: int) -> list[Text]:
    """Draw it; no line is wider, however narrow that is."""
    relatives = Relatives(found.spans)
    rows = list(_rows(relatives))
    widths = _widths(rows, width)
    scale = _Scale(min(span.start_ns for span in found.spans), max(1, round(seconds(found.spans) * _NANO)))
    drawn = [*_heading(found), Text(), _line("", *_HEADS, widths, "bold")]
    for row in rows:
        drawn.append(_drawn(row, relatives, widths, scale))
        if said := described(row.span, relatives):
            drawn.append(Text(printable(f"{row.below}{said}"), style="red" if row.span.is_error else "dim"))
    if found.others:
        more = f"{len(found.others)} more of it, the newest of them {found.others[0]}"
        drawn += [Text(), Text(more, style="dim")]
    for line in drawn:
        line.truncate(width, overflow="ellipsis")
    return drawn


def started(spans: Sequence[Span]) -> datetime:
    """Return when the first of them began."""
    return datetime.fromtimestamp(min(span.start_ns for span in spans) / _NANO, UTC)


def seconds(spans: Sequence[Span]) -> float:
    """Return how long all of them took together."""
    return (max(span.end_ns for span in spans) - min(span.start_ns for span in spans)) / _NANO


def _heading(found: Found) -> Iterator[Text]:
    first = found.spans[0]
    requests = (span.attributes.get("http.request.header.x-request-id") for span in found.spans)
    yield Text(f"trace    {first.trace_id}", style="bold")
    yield Text(f"request  {printable(str(next(filter(None, requests), '-')))}")
    yield Text(f"began    {started(found.spans):%Y-%m-%d %H:%M:%S.%f} UTC, and took {seconds(found.spans):.3f} s")


def _rows(relatives: Relatives) -> Iterator[_Row]:
    """Yield every span that is not in a circle, parents first."""
    # Not recursive: what somebody sends may be as deep as they like.
    waiting = [(span, "", "") for span in reversed(relatives.roots)]
    while waiting:
        span, branch, indent = waiting.pop()
        children = relatives.shown(span)
        yield _Row(span, branch, f"{indent}{'│  ' if children else '   '}")
        indent = indent[:_DEEPEST]
        for number, child in enumerate(reversed(children)):
            is_last = number == 0
            waiting.append((child, indent + ("└─ " if is_last else "├─ "), indent + ("   " if is_last else "│  ")))


def _widths(rows: Sequence[_Row], width: int) -> _Widths:
    process = max(len(_HEADS[0]), *(len(_process(row.span)) for row in rows))
    name = max(len(row.branch) + len(title(row.span)) for row in rows)
    room = width - process - 2 * _NUMBER_WIDE - 4 * len(_GAP)
    name = max(min(name, room - _NARROWEST_BAR), _NARROWEST_NAME)
    return _Widths(name, process, max(min(room - name, _WIDEST_BAR), _NARROWEST_BAR))


def _drawn(row: _Row, relatives: Relatives, widths: _Widths, scale: _Scale) -> Text:
    span, took, start = row.span, row.span.end_ns - row.span.start_ns, row.span.start_ns - scale.began
    is_slow = took >= _SLOW_SHARE * scale.whole and not relatives.shown(span)
    offset = min(widths.bar - 1, start * widths.bar // scale.whole)
    length = max(1, min(widths.bar - offset, round(took * widths.bar / scale.whole)))
    line = _line(
        f"{row.branch}{title(span)}",
        _process(span),
        f"{start / _MILLION:,.1f}",
        f"{took / _MILLION:,.1f}",
        widths,
        "red" if span.is_error else "bold yellow" if is_slow else "",
    )
    # Also told apart where there are no colours.
    return line.append(f"{_GAP}{' ' * offset}{('█' if is_slow else '─') * length}")


def _line(name: str, process: str, start: str, took: str, widths: _Widths, style: str) -> Text:
    if len(name) > widths.name:
        name = f"{name[: widths.name - 1]}…"
    numbers = f"{start:>{_NUMBER_WIDE}}{_GAP}{took:>{_NUMBER_WIDE}}"
    return Text(f"{name:<{widths.name}}{_GAP}{process:<{widths.process}}{_GAP}{numbers}", style=style)


def _process(span: Span) -> str:
    return printable(span.process or span.service.removeprefix("chatkit-"))
