"""`./chatkit doctor` where nothing runs."""

import json
import os
from pathlib import Path

import pytest

from services.stack.cli import main
from services.stack.home import Home, State
from services.stack.machine.recorded import process_of

Captured = pytest.CaptureFixture[str]


def test_nothing_is_wrong_with_a_home_at_rest(home: Home, capsys: Captured) -> None:
    assert main(["doctor", "--home", str(home.folder)]) == 0
    at_rest = f"nothing runs in {home.folder}, so only what lies there was looked at"
    assert capsys.readouterr() == (f"nothing is wrong\n{at_rest}\n", "")
    assert main(["doctor", "--json", "--home", str(home.folder)]) == 0
    assert json.loads(capsys.readouterr().out) == {"is_running": False, "findings": []}


def test_what_is_wrong_has_a_line_each_and_the_status_says_so(home: Home, capsys: Captured) -> None:
    (home.logs / "users.log").write_text('{"event": "log_lines_lost", "count": 2, "level": "warning"}\n')
    home.keys_file.write_text("{")
    assert main(["doctor", "--home", str(home.folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["broken", "odd", "nothing"]
    assert lines[1].startswith("odd     users could not write 2 lines of its log: the disk was full when ")
    assert main(["doctor", "--json", "--home", str(home.folder)]) == 1
    first, second = json.loads(capsys.readouterr().out)["findings"]
    assert (first["level"], first["check"], second["check"]) == ("broken", "keys", "logs")
    assert first.keys() == {"level", "check", "what", "advice"}


def test_a_certificate_and_public_keys_of_the_environment_are_looked_at(
    home: Home, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_EDGE_TLS_CERTIFICATE_FILE", "/nowhere/edge.pem")
    monkeypatch.setenv("CHATKIT_JWKS_FILE", "/nowhere/jwks.json")
    assert main(["doctor", "--home", str(home.folder)]) == 1
    printed = capsys.readouterr().out
    assert "broken  /nowhere/jwks.json can't be read" in printed
    assert "broken  the certificate /nowhere/edge.pem can't be read" in printed


def test_what_an_up_left_behind_is_named(home: Home, capsys: Captured) -> None:
    home.record(State(processes=[process_of("users", os.getpid(), ""), process_of("rooms", os.getpid(), "")]))
    assert main(["doctor", "--home", str(home.folder)]) == 1
    said = "odd     users, rooms run on without the ./chatkit up that began it: the next ./chatkit up ends what is left"
    assert capsys.readouterr().out.splitlines()[0] == said


def test_a_suite_that_only_starts_and_a_folder_that_is_no_home_are_a_sentence(
    home: Home, tmp_path: Path, capsys: Captured
) -> None:
    with home.lock():
        assert main(["doctor", "--home", str(home.folder)]) == 1
    assert capsys.readouterr() == ("", "chatkit: the suite is starting or stopping: try again in a moment\n")
    assert main(["doctor", "--home", str(tmp_path / "none")]) == 1
    assert "is not a home of the suite yet" in capsys.readouterr().err
