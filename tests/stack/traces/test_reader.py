"""What is found of traces in the files, and what is left out."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from services.stack.traces.reader import Span, find
from tests.stack.traces.spans import TRACE, a_send, span

_OTHER = "1" * 32


def _write(path: Path, spans: Iterable[Span]) -> None:
    path.write_text("".join(f"{json.dumps(asdict(one) | {'later': 1})}\n" for one in spans))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Lend the path of a file with a send, half of which is in the older one, and with something else."""
    path = tmp_path / "traces.jsonl"
    sent = a_send()
    _write(tmp_path / "traces.jsonl.1", sent[3:])
    _write(path, [*reversed(sent[:4]), span("o", "else", trace=_OTHER, attributes={"chatkit.room_id": "lobby/7"})])
    return path


@pytest.mark.parametrize("what", [TRACE, TRACE.upper(), "a-call", "a-write", "lobby/7"])
def test_a_trace_is_found_whole_by_each_of_its_names(path: Path, what: str) -> None:
    found = find(path, what)
    assert found is not None
    # A span that is in both files is there once.
    assert [one.span_id for one in found.spans] == ["e", "m", "a", "w", "d", "q"]
    assert found.others == []


@pytest.mark.parametrize("what", ["lobby", "lobby/70", "obby/7", "OK", "", "m", '"'])
def test_nothing_else_names_a_trace(path: Path, what: str) -> None:
    assert find(path, what) is None


def test_of_several_the_newest_call_is_shown_and_no_late_delivery(path: Path) -> None:
    known = {"messaging.message.id": ["lobby/6", "lobby/7"]}
    edit = span("edit", "a.Service/Edit", begins=50, ends=60, trace="2" * 32, kind="SERVER", attributes=known)
    late = span("late", "deliver", begins=90, ends=99, trace="3" * 32, kind="CONSUMER", attributes=known)
    with path.open("a") as file:
        file.writelines(f"{json.dumps(asdict(one))}\n" for one in (edit, late))
    found = find(path, "lobby/7")
    assert found is not None
    assert [one.span_id for one in found.spans] == ["edit"]
    assert found.others == [TRACE, "3" * 32]
    found = find(path, "3" * 32)
    assert found is not None
    assert [one.span_id for one in found.spans] == ["late"]


def test_lines_that_are_cut_or_strange_are_left_out(path: Path) -> None:
    with path.open("a") as file:
        file.write(f'{{"trace_id":"{TRACE}"}}\n["{TRACE}"]\n"{TRACE}"\n{{"trace_id":"{TRACE}","span_')
    found = find(path, TRACE)
    assert found is not None
    assert len(found.spans) == len(a_send())


def test_without_a_file_nothing_is_found(tmp_path: Path) -> None:
    assert find(tmp_path / "traces.jsonl", "lobby/1") is None
