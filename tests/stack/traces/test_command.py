"""`./chatkit trace`, against files that nobody writes any more, and one that somebody does."""

import json
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from services.stack.cli import main
from services.stack.commands.inspection import trace
from services.stack.home import Home
from tests.stack.traces.spans import TRACE, a_send

Captured = pytest.CaptureFixture[str]


def _trace(home: Home, *arguments: str) -> int:
    return main(["trace", *arguments, "--home", str(home.folder)])


def _write(home: Home) -> None:
    home.traces.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in a_send()))


def test_a_trace_is_shown_in_80_columns_where_no_terminal_says_how_wide_it_is(home: Home, capsys: Captured) -> None:
    _write(home)
    assert _trace(home, "lobby/7") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"trace    {TRACE}"
    assert max(map(len, shown)) <= 80


def test_machines_get_one_object(home: Home, capsys: Captured) -> None:
    _write(home)
    assert _trace(home, "a-write", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("spans") == [asdict(one) for one in a_send()]
    assert told == {"trace_id": TRACE, "start_time": "2026-11-29T10:43:30+00:00", "seconds": 0.03, "others": []}


def test_what_is_not_found_is_one_sentence_that_says_why_that_may_be(home: Home, capsys: Captured) -> None:
    _write(home)
    assert _trace(home, "lobby/\x1b8") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("chatkit: nothing is known of lobby/ 8: there was no such call or message")
    assert "CHATKIT_TRACE_PERCENT" in printed.err
    assert printed.err.count("\n") == 1


def test_while_the_suite_runs_it_is_waited_for_what_processes_have_not_told_yet(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    delay = time.time_ns() - a_send()[0].start_ns
    spans = [replace(one, start_ns=one.start_ns + delay, end_ns=one.end_ns + delay) for one in a_send()]
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        with home.traces.open("a") as file:
            file.writelines(f"{json.dumps(asdict(one))}\n" for one in spans[looks - 1 : looks])

    clock = SimpleNamespace(sleep=sleep, time=time.time, monotonic=lambda: 0.0 if looks < len(spans) else 10.0)
    monkeypatch.setattr(trace, "time", clock)
    with home.lock():
        assert _trace(home, TRACE) == 0
    assert looks == len(spans)
