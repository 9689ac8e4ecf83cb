"""The command line where nothing runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from services.stack.cli import main
from services.stack.home import Home, State
from services.stack.machine import unprivileged
from services.stack.terminal import columns, size
from tests.stack.commands.typed import commands
from tests.support.databases import ROOT

Captured = pytest.CaptureFixture[str]


def test_a_token_is_printed_alone(home: Home, capsys: Captured) -> None:
    assert main(["token", "--home", str(home.folder), "--user", "zoë 🫎", "--ttl", "15m"]) == 0
    printed = capsys.readouterr()
    secret = json.loads(home.keys_file.read_text())["keys"][0]["secret"]
    claims = jwt.decode(printed.out.strip(), secret, ["HS256"])
    assert (claims["sub"], claims["instance"]) == ("zoë 🫎", home.instance)
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert "su" not in claims
    assert printed.err == ""


def test_a_superuser_needs_no_id(home: Home, capsys: Captured) -> None:
    assert main(["token", "--home", str(home.folder), "--su"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert claims["su"] is True
    assert "sub" not in claims


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["token"], "say whose token it is"),
        (["token", "--user", "bob", "--ttl", "soon"], "'soon' is not a time"),
        (["token", "--user", "bob", "--ttl", "0s"], "'0s' is not a time"),
        (["token", "--user", "bob", "--ttl", "999999999d"], "'999999999d' is longer than"),
        (["up", "--workers", "9" * 5000], "is not like 2"),
        (["replay", "/no\x1bwhere"], "nothing runs in"),
        (["services"], "nothing runs in"),
        (["top"], "nothing runs in"),
        (["senders"], "nothing runs in"),
        (["trace", "lobby/1"], "no traces are in"),
        (["chat"], "nothing runs in"),
        (["send", "hello"], "nothing runs in"),
        (["watch"], "nothing runs in"),
        (["list"], "nothing runs in"),
        (["import", "/nowhere"], "nothing runs in"),
        (["export", "/nowhere"], "nothing runs in"),
        (["rotate-epoch"], "has no database"),
        (["contract", "export", str(ROOT)], "is not empty"),
        (["contract", "export", __file__], "can't be written: File exists"),
    ],
)
def test_trouble_is_one_sentence_and_status_1(
    home: Home, capsys: Captured, arguments: list[str], sentence: str
) -> None:
    assert main([*arguments, "--home", str(home.folder)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("chatkit: ")
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


def test_a_folder_that_is_no_home_has_no_tokens(tmp_path: Path, capsys: Captured) -> None:
    assert main(["token", "--home", str(tmp_path / "nothing"), "--user", "bob"]) == 1
    assert "is not a home of the suite yet" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


_COMMANDS = (
    *(
        ["up"],
        ["token", "--su"],
        ["services"],
        ["top"],
        ["senders"],
        ["trace", "x"],
        ["doctor"],
        ["limits"],
        ["edge", "--print"],
        ["send", "x"],
        ["watch"],
        ["list"],
        ["chat"],
    ),
    *(["verify"], ["rotate-epoch"], ["replay"], ["import", "x"], ["export", "x"]),
    *(["users", "list"], ["users", "add", "x"], ["users", "delete", "x", "--messages", "keep"]),
    *(["rooms", "list"], ["rooms", "add", "x"], ["rooms", "delete", "x"]),
    *(["members", "list"], ["members", "add", "x"], ["members", "remove", "x"]),
    *(["contract", "export", "x"], ["sbom"], ["check"], ["fuzz"]),
)


@pytest.mark.parametrize("inner", ["", "inner"])
@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
def test_a_file_for_a_home_is_one_sentence(tmp_path: Path, capsys: Captured, arguments: list[str], inner: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    home = file / inner
    assert main([*arguments, "--home", str(home)]) == 1
    assert capsys.readouterr() == ("", f"chatkit: the home can't be {home}: {file} is not a folder\n")
    assert file.read_text() == "mine"


def test_no_home_is_forgotten_here() -> None:
    typed = {" ".join(arguments) for arguments in _COMMANDS}
    for words, _parser in commands():
        assert any(f"{line} ".startswith(f"{words} ") for line in typed), words


@pytest.mark.parametrize("arguments", [["up", "--port", "0"], ["token", "--su"], ["services"]], ids=lambda a: a[0])
def test_a_home_that_may_not_be_used_is_one_sentence(home: Home, arguments: list[str]) -> None:
    with home.lock():
        home.record(State("127.0.0.1:1"))
    (home.folder / "up.lock").chmod(0)
    (home.folder / "secrets").chmod(0)
    home.folder.chmod(0o500)
    # Root may everything, and is somebody ordinary in a namespace.
    ordinary = [] if os.geteuid() else [sys.executable, unprivileged.__file__]
    ran = subprocess.run(
        [*ordinary, sys.executable, "-m", "services.stack", *arguments, "--home", str(home.folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    # For whoever clears away.
    home.folder.chmod(0o700)
    (home.folder / "secrets").chmod(0o700)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("chatkit: ")
    assert f"the home can't be {home.folder}: " in ran.stderr
    assert "Permission denied" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_limits_without_a_running_suite_are_those_of_the_environment(
    home: Home, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_LIMIT_ROOM_MEMBERS", "500")
    assert main(["limits", "--home", str(home.folder), "--json"]) == 0
    rows = {row["name"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert (rows["ROOM_MEMBERS"], rows["ROOM_NAME_CHARS"]) == (500, 60)
    monkeypatch.setenv("CHATKIT_LIMIT_ROOM_MEMBERS", "many")
    assert main(["limits", "--home", str(home.folder)]) == 1
    assert "CHATKIT_LIMIT_ROOM_MEMBERS" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "token", "services", "limits", "send", "watch", "list", "import", "export"])
def test_every_command_explains_itself(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--home" in capsys.readouterr().out


def test_a_port_that_is_none_is_refused(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", "--port", "65536"])
    assert ended.value.code == 2
    assert "is not a port" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "a\udcff"],
        ["send", "hello", "--request-id", "a\udcff"],
        ["list", "--room", "a\udcff"],
        ["watch", "--as", "a\udcff"],
        ["token", "--user", "a\udcff"],
        ["token", "--su", "--home", "a\udcff"],
        ["token", "--su", "--home", ""],
        ["list", "--last", "9" * 5000],
        ["list", "--last", "0"],
        ["watch", "--last", "-1"],
        ["up", "--port", "9" * 5000],
    ],
)
def test_an_argument_that_can_not_be_sent_is_a_sentence_before_anything_is_done(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error: argument " in capsys.readouterr().err


def test_a_table_is_as_wide_as_its_cells_and_nothing_is_cut() -> None:
    long = "x" * 300
    assert columns(("a", "what"), [("bcd", long), (10, "")]) == f"a    what\nbcd  {long}\n10"


def test_a_number_of_bytes_can_be_read() -> None:
    numbers = (0, 1, 999, 1_000, 4_249, 999_949, 999_950, 120_000_000, 10**15)
    assert [size(number) for number in numbers] == [
        *("0 bytes", "1 byte", "999 bytes", "1.0 kB", "4.2 kB", "999.9 kB", "1.0 MB", "120.0 MB", "1,000.0 TB"),
    ]
