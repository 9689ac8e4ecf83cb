"""The tables of `top` are never wider or higher than the terminal."""

import pytest

from services.stack.top.drawing import lines
from services.stack.top.interval import EdgeRow, Interval, MethodRow, ProcessRow

_PROCESSES = [
    ProcessRow("postgres", "up", 0.02, 180_300_000),
    ProcessRow("messages-1", "up", 0.31, 118_900_000, 0.0123, 2, 3, 1.5, 0, 0.0, 0.71, 1208.0, 40, 12, 0.0042),
    ProcessRow("rooms", "not ready", 0.0, 98_000_000, None, 0, 0, 0.0, 0, 0.0),
    ProcessRow("files", "silent"),
]
_METHODS = [
    MethodRow("chatkit.messages.v1.MessagesService", "SendMessage", 152.4, 152.4, 0.5, 2.0, 0.0042, 0.0314, 0),
    MethodRow("chatkit.messages.v1.ReadStatesService", "ListRoomSummaries", 0.5, 0.0, 0.0, 0.0, 0.00045, 1.25, 0),
    MethodRow("chatkit.messages.v1.MessagesService", "SubscribeRoom", 0.0, 0.0, 0.0, 0.0, None, None, 1204),
]
_INTERVAL = Interval(2.0, _PROCESSES, _METHODS, EdgeRow(155.0, 2.0, 0.0, 41, 12))

_ALL = """\
in 2.0 s: edge 155 requests/s, 2.0 4xx, - 5xx, 41 open, 12 connections

process     state      cpu    memory  lag p99  open  db  waits/s  bus  drops/s
postgres    up          2%  180.3 MB
messages-1  up         31%  118.9 MB    12 ms     2   3      1.5    -        -
rooms       not ready   0%   98.0 MB              -   -        -    -        -
files       silent

process     deliveries/s  rooms  writes waiting  stored p99  access proof
messages-1         1,208     40              12      4.2 ms        710 ms

method                        calls/s  ours/s  theirs/s     p50    p99   open  edge/s
Messages/SendMessage              152     0.5       2.0  4.2 ms  31 ms      -     152
ReadStates/ListRoomSummaries      0.5       -         -  450 µs  1.2 s      -       -
Messages/SubscribeRoom              -       -         -                 1,204       -"""


def test_all_is_shown_where_there_is_room() -> None:
    assert "\n".join(line.plain for line in lines(_INTERVAL, 200)) == _ALL


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100])
def test_a_narrow_terminal_loses_columns_and_no_lines(width: int) -> None:
    drawn = [line.plain for line in lines(_INTERVAL, width)]
    assert max(map(len, drawn)) <= width
    assert len(drawn) == len(_ALL.splitlines())
    assert [line.split()[:1] for line in drawn] == [line.split()[:1] for line in _ALL.splitlines()]


def test_at_80_columns_all_is_there_but_what_came_through_the_edge() -> None:
    heads = [line.plain.split() for line in lines(_INTERVAL, 80)]
    assert heads[2][-1] == "drops/s"
    assert heads[8][-1] == "proof"
    assert heads[11][-1] == "open"


def test_a_low_terminal_loses_the_methods_with_the_fewest_calls_and_says_so() -> None:
    drawn = [line.plain for line in lines(_INTERVAL, 80, height=14)]
    assert (len(drawn), drawn[-1]) == (14, "… and 2 more lines")
    assert drawn[-2].startswith("Messages/SendMessage")


def test_processes_in_trouble_stand_out() -> None:
    styles = {line.plain.split()[0]: line.style for line in lines(_INTERVAL, 80)[3:7]}
    assert styles == {"postgres": "", "messages-1": "", "rooms": "red", "files": "red"}


def test_a_quiet_suite_and_an_edge_that_is_silent_are_said() -> None:
    drawn = [line.plain for line in lines(Interval(2.0, _PROCESSES, [], None), 80)]
    assert drawn[0] == "in 2.0 s: the edge has not told its figures twice"
    assert drawn[-1] == "no method was called, and no stream is open"
