"""The source of services/, read: its files, and who imports whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

from services.stack.roles import SERVICES
from tests.contract.descriptors import ROOT

# Beside itself, what a part of services/ may import of services/ and of the contract.
ALLOWED = {
    **dict.fromkeys(SERVICES, ("services.runtime", "chatkit")),
    "runtime": (
        "chatkit.contract",
        "chatkit.internal.access",
        "chatkit.internal.directory",
        "chatkit.internal.edges",
        "chatkit.internal.erasure",
        "chatkit.internal.feeds",
        "chatkit.users.v1.exported_record_pb2",
    ),
    "edge": ("services.runtime", "chatkit"),
    "stack": ("services.runtime", "services.edge", "chatkit"),
}


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(part: str) -> list[Path]:
    """List the Python files of a part of services/."""
    found = sorted((ROOT / "services" / part).rglob("*.py"))
    assert found
    return found


def boxes(part: str) -> dict[str, set[str]]:
    """Return which of the others each folder and each module of a part imports."""
    folder = ROOT / "services" / part
    arrows: dict[str, set[str]] = {}
    for path in sources(part):
        own = path.relative_to(folder).with_suffix("").parts[0]
        inner = [imported.split(".")[2] for imported in imports(path) if imported.startswith(f"services.{part}.")]
        arrows.setdefault(own, set()).update(box for box in inner if box != own)
    return arrows
