"""A uid says by its type whose it is: a plain UUID could be a room's or a user's, and mypy would take one for another.

Ids that callers name are of no type of their own where there is one kind only.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.descriptors import ROOT
from tests.contract.sources import sources

# What may be a plain UUID, by file and name, and why.
PLAIN = {
    ("runtime/data/epoch.py", "epoch"): "no uid: one life of a schema",
    ("runtime/data/epoch.py", "ended"): "no uid: one life of a schema",
    ("runtime/data/epoch.py", "_value"): "no uid: one life of a schema",
    ("messages/model.py", "deployment"): "no uid: the epoch of the schema, beside a room's uid",
    ("messages/fanout/log_bus.py", "epoch"): "no uid: the epoch of the schema",
    ("messages/log/store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/store.py", "last"): "where a walk over all rooms ends, where mostly no room is",
    ("messages/retention/sweeper.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/sweeper.py", "last"): "where a walk over all rooms ends, where mostly no room is",
    ("files/store.py", "after"): "where a walk over all files stands, which begins where no file is",
    ("files/model.py", "attempt"): "no uid: one attempt to upload a file, named beside its uid",
    ("files/content/places.py", "key"): "an owner's uid for uploads, and a file's for downloads",
    ("files/content/places.py", "_taken"): "an owner's uid for uploads, and a file's for downloads",
    ("users/presence/store.py", "replica_id"): "no uid: one life of a process",
    ("files/servicer.py", "new_uid"): "makes what is then given its type",
    ("files/content/uploads.py", "new_uid"): "makes attempts",
    ("rooms/service.py", "new_uid"): "makes what is then given its type",
    ("users/service.py", "new_uid"): "makes what is then given its type",
}


def _annotated(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """Yield the name and the annotation of each parameter, field and variable of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            yield (
                node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target),
                node.annotation,
            )


def _plain() -> set[tuple[str, str]]:
    """Return what is annotated with a UUID, by file and name."""
    folder = ROOT / "services"
    return {
        (str(path.relative_to(folder)), name)
        for part in folder.iterdir()
        if (part / "__init__.py").exists()
        for path in sources(part.name)
        if "migrations" not in path.parts
        for name, annotation in _annotated(path)
        if any(isinstance(node, ast.Name) and node.id == "UUID" for node in ast.walk(annotation))
    }


def test_nothing_is_a_plain_uuid_but_what_is_listed_with_its_reason() -> None:
    assert sorted(_plain()) == sorted(PLAIN)
