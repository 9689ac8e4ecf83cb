"""Everything that is shipped has a licence that may be, and what can't be known is no such licence."""

from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from services.stack.shipped.components import Component, components
from services.stack.shipped.contents import CONTENTS
from services.stack.shipped.licences import EXCEPTIONS, canonical, licence, may_be_shipped
from services.stack.shipped.packages import IMAGES, packages
from services.stack.shipped.page import PATH, page
from services.stack.shipped.pins import pinned
from services.stack.trouble import Trouble


def _all(image: str) -> list[Component]:
    return [part for one in components(image) for part in (one, *one.contains)]


@pytest.mark.parametrize("image", IMAGES)
def test_all_that_is_shipped_may_be(image: str) -> None:
    assert [(one.name, one.licence) for one in _all(image) if not may_be_shipped(one.name, one.licence)] == []


def test_nothing_under_the_gpl_is_in_an_image() -> None:
    names = {one.name for image in IMAGES if image != "stack" for one in _all(image)}
    assert {name for name, (expression, _) in EXCEPTIONS.items() if expression.startswith("GPL")} == {"readline"}
    assert "readline" not in names


def test_every_exception_is_needed() -> None:
    shipped = {one.name: one.licence for one in _all("stack")}
    assert {name: shipped.get(name) for name in EXCEPTIONS} == {name: one for name, (one, _) in EXCEPTIONS.items()}


def test_what_is_inside_was_looked_up_in_the_version_that_is_pinned() -> None:
    known = pinned("stack")
    assert {name: known[name].version for name in CONTENTS} == {name: one.version for name, one in CONTENTS.items()}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("", False),
        ("GPL-3.0-only", False),
        ("LicenseRef-Own", False),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("GPL-2.0-only OR Apache-2.0", True),
        ("MIT AND GPL-2.0-only", False),
        ("GPL-2.0-only AND MIT", False),
        ("GPL-2.0-only OR GPL-3.0-only AND MIT", False),
        ("(MIT OR GPL-2.0-only) AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND (GPL-3.0-only OR ISC)", True),
        ("GPL-3.0-only OR (MIT AND ISC)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_an_expression_is_judged_by_its_parts(expression: str, expected: bool) -> None:
    assert not expression or canonical(expression) == expression
    assert may_be_shipped("anything", expression) is expected


def test_an_exception_is_of_one_name_and_one_licence() -> None:
    assert may_be_shipped("psycopg", "LGPL-3.0-only")
    assert not may_be_shipped("psycopg", "GPL-3.0-only")
    assert not may_be_shipped("psycopg2", "LGPL-3.0-only")


def _package(folder: Path, *lines: str) -> Distribution:
    (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: a", "Version: 1", *lines, ""]))
    return PathDistribution(folder)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT or Apache-2.0", "License: other"], "MIT OR Apache-2.0"),
        (["License: MIT"], "MIT"),
        (["License: 3-Clause BSD License"], "BSD-3-Clause"),
        (["License: See the file.", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)"], ""),
        (["License: Proprietary"], ""),
        ([], ""),
    ],
)
def test_what_metadata_says_is_read_or_unknown(tmp_path: Path, lines: list[str], expected: str) -> None:
    assert licence(_package(tmp_path, *lines)) == expected


def test_a_package_that_is_not_the_pinned_one_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distribution, "version", property(lambda _: "0"))
    with pytest.raises(Trouble, match=r"alembic 0 is installed, and [\d.]+ is pinned"):
        packages("users")


def test_the_page_says_what_is_shipped() -> None:
    assert PATH.read_text() == page(), "run: python -m services.stack.shipped"
