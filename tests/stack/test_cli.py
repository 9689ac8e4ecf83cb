"""The command line where nothing runs."""

import json
from pathlib import Path

import jwt
import pytest

from services.stack.cli import main
from services.stack.home import Home
from services.stack.terminal import columns

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a fresh home."""
    made = Home(tmp_path)
    made.prepare()
    return made


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
        (["send", "hello"], "nothing runs in"),
        (["watch"], "nothing runs in"),
        (["list"], "nothing runs in"),
        (["import", "/nowhere"], "nothing runs in"),
        (["export", "/nowhere"], "nothing runs in"),
        (["rotate-epoch"], "has no database"),
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
