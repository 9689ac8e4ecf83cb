"""A trace as somebody at a terminal sees it."""

from typing import Any

import pytest

from services.stack.traces.reader import Found
from services.stack.traces.tree import lines
from tests.stack.traces.spans import TRACE, a_send, span

_ALL = f"""\
trace    {TRACE}
request  a-call
began    2026-11-29 10:43:30.000000 UTC, and took 0.030 s

                        process      from ms   took ms
SendMessage             edge             0.0      20.0  ────────────────
│  OK
└─ SendMessage          messages-1       2.0      16.0   ─────────────
   │  message lobby/7, user 2bd806c97f0e00af
   ├─ admission         messages-1       2.0       1.0   ─
   ├─ write and commit  messages-1       4.0      13.0     ██████████
   │     with 12 writes
   └─ deliver           messages-2      15.0      15.0              ────────────
      │  taken 7.5 ms after its time, written to 2 of 3 streams
      └─ queue          messages-2      17.0       5.5               ────"""


def _plain(found: Found, width: int = 80) -> list[str]:
    return [line.plain.rstrip() for line in lines(found, width)]


def test_all_is_shown_in_80_columns() -> None:
    assert "\n".join(_plain(Found(a_send(), []))) == _ALL


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_every_span_has_its_line(width: int) -> None:
    drawn = _plain(Found(a_send(), ["another"]), width)
    assert max(map(len, drawn)) <= width
    assert len(drawn) == len(_ALL.splitlines()) + 2


def test_what_failed_says_how_and_stands_out() -> None:
    known = {"rpc.response.status_code": "UNAVAILABLE", "chatkit.reason": "DATABASE_UNAVAILABLE"}
    found = Found([span("m", "a.b.Service/Do", below="away", kind="SERVER", is_error=True, attributes=known)], [])
    call, said = lines(found, 80)[5:]
    assert said.plain.strip() == "UNAVAILABLE, DATABASE_UNAVAILABLE, a part of a span that is not here"
    assert call.style == said.style == "red"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"http.status_code": "200"}, "OK"),
        ({"http.status_code": "503", "response_flags": "UH"}, "HTTP 503, flags UH"),
        ({"http.status_code": "200", "grpc.status_code": "7"}, "PERMISSION_DENIED"),
        ({"grpc.status_code": "99"}, "99"),
        ({"messaging.message.id": ["lobby/1", "lobby/2"]}, "message lobby/1 and others"),
        ({"chatkit.room_id": "lobby", "chatkit.committer.lane": "second"}, "room lobby, second lane"),
    ],
)
def test_what_is_known_of_a_call_is_said(attributes: dict[str, Any], said: str) -> None:
    assert _plain(Found([span("e", "/a.b.Service/Do", attributes=attributes)], []))[-1].strip() == said


def test_other_traces_are_named() -> None:
    assert _plain(Found(a_send(), ["b", "c"]))[-1] == "2 more of it, the newest of them b"


def test_of_many_readers_the_slowest_is_shown() -> None:
    queues = [span(f"q{number}", "queue", below="d", begins=17, ends=17 + number) for number in range(1, 10)]
    drawn = _plain(Found([*a_send()[:-1], *queues], []))
    assert [line.split()[-3:-1] for line in drawn if "queue" in line] == [["17.0", "9.0"]]
    assert drawn[-1].strip() == "the longest of 9"
    assert "taken 11.0 ms after its time" in drawn[-3]


def test_what_a_span_says_can_not_move_the_cursor() -> None:
    attributes = {"chatkit.room_id": "lob\x1b[2Jby", "http.request.header.x-request-id": "a\nb"}
    drawn = _plain(Found([span("m", "na\x1bme", process="pro\rcess", attributes=attributes)], []))
    assert all(line.isprintable() for line in drawn)
    assert "room lob [2Jby" in drawn[-1]


def test_circles_and_depths_are_drawn_as_far_as_that_goes() -> None:
    circle = [span("x", "in a circle", below="y"), span("y", "in a circle", below="x")]
    deep = [span(f"{number}", "deep", below=f"{number - 1}") for number in range(2_000)]
    drawn = _plain(Found([*deep, *circle], []))
    assert len(drawn) == 5 + len(deep) + 1
    assert max(map(len, drawn)) <= 80
