"""The API reference says what the contract says, of every method, and its examples are calls that work."""

from pathlib import Path

import pytest

from services.edge import process
from services.edge.reference import examples
from services.edge.reference.contract import methods
from services.edge.reference.pages import Pages
from services.edge.reference.requests import REQUESTS
from services.runtime.contract.policies import Limits
from tests.contract.descriptors import ROOT

_FOLDER = ROOT / "docs" / "api"


def _read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.md")}


def test_the_pages_are_what_the_contract_gives() -> None:
    assert _read(_FOLDER) == Pages(Limits()).write(), "run: .venv/bin/python -m services.edge reference docs/api"


def test_one_command_writes_the_pages_and_takes_away_those_of_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "Gone.md").touch()
    assert process.main(["reference", str(tmp_path)]) == 0
    assert _read(tmp_path) == _read(_FOLDER)


def test_every_method_has_a_page_with_its_examples() -> None:
    assert {method.full_name for method in methods()} == set(REQUESTS)
    pages = _read(_FOLDER)
    for method in methods():
        page = pages[f"{method.service.full_name.split('.')[1]}/{method.name}.md"]
        languages = set(examples.LANGUAGES) - ({"curl"} if method.contract.streams_requests else set())
        assert [name for name in languages if f"\n{name}:\n" not in page] == [], method.full_name


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("messages/SendMessage.md", "| counts as | 1 of SENDS_PER_USER_PER_SECOND (20 a second) |"),
        ("messages/SendMessage.md", "with the permission `message:create`"),
        ("messages/SendMessage.md", "- REQUEST_ID_REUSED\n"),
        ("messages/SendMessage.md", "at most PARTS_PER_MESSAGE (10 items)"),
        ("messages/SendMessage.md", "list of [Part](part.md#part)"),
        ("users/CreateUser.md", "| who may call | tokens with `su` |"),
        ("users/CreateUser.md", "| may be repeated | no |"),
        ("users/DeleteUser.md", "[MessageErasure](../contract/deletion.md#messageerasure)"),
        ("messages/SubscribeRoom.md", "| longest call | until its token expires |"),
        ("messages/SendMessages.md", "gRPC only"),
        ("users/ListUsers.md", "0 is 20, at most"),
        ("errors.md", "| TOKEN_MISSING | UNAUTHENTICATED | The call carries no token. |"),
    ],
)
def test_a_page_has_what_the_options_say(page: str, said: str) -> None:
    assert said in _read(_FOLDER)[page]
