"""The SBOM is CycloneDX as its schema has it, whole, and the same for the same commit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from services.stack.cli import main
from services.stack.shipped.packages import CLIENT, IMAGES, OWN, requirements
from services.stack.shipped.pins import pinned

Captured = pytest.CaptureFixture[str]
Print = Callable[..., dict[str, Any]]
_EPOCH = 1_700_000_000


@pytest.fixture
def sbom(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Print:
    """Return what prints an SBOM and reads it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(_EPOCH))

    def printed(*arguments: str) -> dict[str, Any]:
        assert main(["sbom", *arguments]) == 0
        read: dict[str, Any] = json.loads(capsys.readouterr().out)
        return read

    return printed


def _faults(read: dict[str, Any]) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(read))


@pytest.mark.parametrize("image", IMAGES)
def test_it_is_what_the_schema_asks_for(sbom: Print, image: str) -> None:
    assert _faults(sbom(image)) is None


def test_the_schema_notices_what_is_not_its_own(sbom: Print) -> None:
    read = sbom("users")
    assert _faults({**read, "more": 1}) is not None
    read["components"][0]["licenses"] = [{"license": {"id": "No-Such"}}]
    assert _faults(read) is not None


@pytest.mark.parametrize("image", IMAGES)
def test_it_has_every_package_with_the_hashes_that_pip_is_given(sbom: Print, image: str) -> None:
    wanted, file = IMAGES[image]
    known = pinned(file)
    expected = {
        f"pkg:pypi/{name}@{known[name].version}": set(known[name].hashes)
        for name in requirements(wanted).keys() - {OWN, CLIENT}
    }
    found = {
        one["purl"]: {hashed["content"] for hashed in one["hashes"] if hashed["alg"] == "SHA-256"}
        for one in sbom(image)["components"]
        if one["purl"].startswith("pkg:pypi/")
    }
    assert found == expected
    # hatchling and what it needs make the packages, and are in none.
    assert known.keys() - requirements(wanted).keys() <= pinned("build").keys()


def test_the_console_is_in_the_edge_alone(sbom: Print) -> None:
    for image in IMAGES:
        built_in = {one["name"] for one in sbom(image)["components"] if one["purl"].startswith("pkg:npm/")}
        assert bool(built_in) is (image in {"edge", "stack"})


def test_what_wheels_bring_stands_inside_of_them(sbom: Print) -> None:
    inside = {one["name"]: one.get("components", []) for one in sbom("users")["components"]}
    openssl = next(one for one in inside["psycopg-binary"] if one["name"] == "OpenSSL")
    assert openssl["bom-ref"].startswith("pkg:pypi/psycopg-binary@")
    assert any(one["purl"].startswith("pkg:cargo/") for one in inside["cryptography"])


@pytest.mark.parametrize("image", IMAGES)
def test_it_says_what_requires_what_and_leaves_nothing_unreached(sbom: Print, image: str) -> None:
    read = sbom(image)
    graph = {one["ref"]: one["dependsOn"] for one in read["dependencies"]}
    root = read["metadata"]["component"]["bom-ref"]
    reached, left = set[str](), [root]
    while left:
        reference = left.pop()
        if reference not in reached:
            reached.add(reference)
            left += graph[reference]
    assert reached == {root, *(one["bom-ref"] for one in read["components"])} == graph.keys()
    name = {one["bom-ref"]: one["name"] for one in read["components"]}
    assert "cryptography" in {name[one] for one in graph[next(ref for ref in name if name[ref] == "pyjwt")]}


def test_the_same_is_said_in_the_same_bytes(sbom: Print, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = sbom("edge")
    assert read["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    file = tmp_path / "sbom.json"
    assert main(["sbom", "edge", "--output", str(file)]) == 0
    assert json.loads(file.read_text()) == read
    assert sbom("files")["serialNumber"] != read["serialNumber"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(_EPOCH + 1))
    assert sbom("edge")["serialNumber"] != read["serialNumber"]


def test_without_a_time_it_is_the_commits(sbom: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert sbom() == sbom("stack")
    monkeypatch.setattr("services.stack.commands.sbom.commit", lambda: "")
    read = sbom("users")
    assert "timestamp" not in read["metadata"]
    assert "properties" not in read["metadata"]["component"]
    assert _faults(read) is None


def test_trouble_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured) -> None:
    assert main(["sbom", "users", "--output", str(tmp_path / "gone" / "sbom.json")]) == 1
    assert capsys.readouterr().err.endswith("can't be written: No such file or directory\n")
    for told in ("now", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", told)
        assert main(["sbom", "users"]) == 1
        said = f"chatkit: SOURCE_DATE_EPOCH must be seconds since 1970, and is '{told}'\n"
        assert capsys.readouterr().err == said
