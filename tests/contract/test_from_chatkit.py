"""docs/from-chatkit*.md name what exists, all that is public of what they cover."""

import re

from chatkit.contract.v1 import error_reason_pb2

from tests.contract import descriptors

TEXT = "\n".join(page.read_text() for page in sorted((descriptors.ROOT / "docs").glob("from-chatkit*.md")))
RPCS = {
    f"{service.name}.{method.name}": service.file.package
    for service in descriptors.services()
    for method in service.methods
}
REASONS = set(error_reason_pb2.ErrorReason.keys())
COVERED = {"chatkit.users.v1", "chatkit.rooms.v1", "chatkit.messages.v1", "chatkit.files.v1"}
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| ")]


def _named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def _rpcs(names: set[str]) -> set[str]:
    return {name for name in names if re.fullmatch(r"[A-Z]\w*Service\.\w+", name)}


def _reasons(names: set[str]) -> set[str]:
    return {name for name in names if re.fullmatch(r"[A-Z]+(_[A-Z]+)*", name)}


def test_every_rpc_that_they_name_exists() -> None:
    assert _rpcs(_named(TEXT)) - RPCS.keys() == set()


def test_every_public_rpc_of_what_they_cover_is_named() -> None:
    assert {name for name, package in RPCS.items() if package in COVERED} - _named(TEXT) == set()


def test_every_reason_that_they_name_exists() -> None:
    named = _reasons(_named(TEXT))
    assert len(named) > 30
    assert named - REASONS == set()


def test_the_old_names_in_the_comments_of_reasons_lead_to_those_reasons() -> None:
    proto = (descriptors.PROTOS / "chatkit/contract/v1/error_reason.proto").read_text()
    comments = re.findall(r"((?:  //[^\n]*\n)+)  (\w+) =", proto)
    old = [
        (name, reason)
        for comment, reason in comments
        for names in re.findall(r"Chatkit: ([^.]*)\.", re.sub(r"\s*//\s*", " ", comment))
        for name in names.split(", ")
    ]
    assert len(old) > 10
    told = {(name, reason) for row in ROWS for name in _named(row[0]) for reason in _reasons(_named("".join(row[1:])))}
    assert set(old) - told == set()


def test_every_row_says_what_takes_the_place_of_the_old() -> None:
    for row in ROWS:
        assert len(row) in {2, 3}, row
        assert row[0], row
        assert row[1], row
