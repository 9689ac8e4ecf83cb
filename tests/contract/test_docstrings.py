"""Whoever reads a public function sees what it may raise: the contract's reason, or the class of the error."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sources import ALLOWED, sources

# What tells it: REASONS_OF_THE_CONTRACT, SomeError, or a sentence with "raise".
_TELLS = re.compile(
    r"[A-Z]{2,}_[A-Z_]+|OVERLOADED|UNAVAILABLE|[Rr]aise|[Rr]efuse|\b\w+Error\b|\bTrouble\b"
    r"|\b(Unauthenticated|Unimplemented|Unavailable|Internal|Aborted|LookupError)\b"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def silent(tree: ast.AST) -> Iterator[str]:
    """Yield the public functions that raise in their own body and do not say what."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            continue
        functions = (inner for inner in ast.iter_child_nodes(node) if isinstance(inner, Function))
        for function in functions:
            tells = _TELLS.search(ast.get_docstring(function) or "") is not None
            if _raises(function) and not function.name.startswith("_") and not tells:
                yield function.name


def _raises(node: ast.AST) -> bool:
    """Tell whether a function raises, those within it left out; `raise` alone is somebody else's error."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            return True
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and _raises(inner):
            return True
    return False


@pytest.mark.parametrize("part", sorted(set(ALLOWED) - {"stack"}))
def test_a_public_function_that_raises_says_what(part: str) -> None:
    # What a method of the contract raises stands in its proto.
    files = [path for path in sources(part) if not path.stem.endswith("servicer") and "migrations" not in path.parts]
    found = {str(Path(*path.parts[-3:])): list(silent(ast.parse(path.read_text()))) for path in files}
    # Methods of gRPC's own services, such as health, are written as theirs are.
    assert [(path, name) for path, names in found.items() for name in names if not name[0].isupper()] == []


def test_one_that_does_not_say_it_is_found() -> None:
    source = '''
def tells():
    """Do it, or raise ROOM_NOT_FOUND."""
    raise not_found()

def hides():
    """Do it."""
    if True:
        raise not_found()

class It:
    async def hides_too(self):
        """Do it."""
        raise ValueError

    def has_it_within(self):
        """Return it."""
        def _inner():
            raise ValueError
        return _inner
'''
    assert sorted(silent(ast.parse(source))) == ["hides", "hides_too"]
