"""What a page says is printed is compared with what is printed, and no command of a page is left out."""

from pathlib import Path

import pytest

from tests.checks.steps import ROOT
from tests.deploy.runbooks.console import Shell, Step, steps

_PAGE = """
1. Look, in a list.

   ```console
   $ cat <<'END' |
   > name  age
   > END
   >   cat
   name   age
   $ true
   ```

   ```console until
   $ date
   …
   ```

   ```sh
   $ this is no console
   ```
"""
PAGES = ROOT / "operations" / "runbooks"


def _step(printed: str) -> Step:
    return Step("", printed, frozenset())


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("", ""),
        ("name  age\nalice  7", "name   age\nalice    7\n"),
        ("ready after …", "ready after 8.1 s"),
        ("…\nready after …\n…", "starting\n\nready after 8.1 s\n\nas alice:"),
        ("a (b) [c] $x", "a (b) [c] $x"),
    ],
)
def test_an_ellipsis_is_anything_and_columns_may_be_wider(printed: str, said: str) -> None:
    assert _step(printed).fits(said)


@pytest.mark.parametrize(
    ("printed", "said"),
    [("", "x"), ("x", ""), ("ready …", "ready\nand more"), ("a.c", "abc"), ("…\nready", "ready\nnot"), ("a b", "ab")],
)
def test_anything_else_does_not_fit(printed: str, said: str) -> None:
    assert not _step(printed).fits(said)


def test_commands_are_read_with_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(_PAGE)
    assert list(steps(page)) == [
        Step("cat <<'END' |\nname  age\nEND\n  cat", "name   age", frozenset()),
        Step("true", "", frozenset()),
        Step("date", "…", frozenset({"until"})),
    ]
    page.write_text("```console\nprinted by nothing\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md has a console"):
        list(steps(page))


async def test_a_shell_keeps_its_variables_and_shows_errors_in_their_place(tmp_path: Path) -> None:
    shell = await Shell.start(tmp_path, {"PATH": "/usr/bin:/bin"})
    try:
        assert await shell.type("x=1; ask() { echo $x; }") == ""
        assert await shell.type("ask; ls gone 2>&1 | grep -c gone; cat") == "1\n1"
    finally:
        await shell.close()


def test_each_command_of_a_page_is_run_by_a_test() -> None:
    pages = {
        page.stem: {step.kinds for step in steps(page)} for page in (ROOT / "operations" / "runbooks").glob("*.md")
    }
    moved = pages.pop("own-postgres")
    assert moved == {frozenset({kind}) for kind in ("before", "stopped", "after")}
    assert {kind for kinds in pages.values() for of in kinds for kind in of} <= {"up", "until"}
