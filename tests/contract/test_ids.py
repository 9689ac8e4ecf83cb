"""An id says by its type whose it is, where it could be taken for another: mypy refuses what is in the wrong place.

So no uid is a plain UUID. Of ids that is asked where a signature has two kinds of them, or one beside another text.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.stack.roles import SERVICES
from tests.contract.descriptors import ROOT
from tests.contract.sources import sources

# What may be a plain UUID, by file and name, and why.
PLAIN = {
    ("runtime/data/epoch.py", "epoch"): "no uid: one life of a schema",
    ("runtime/data/epoch.py", "ended"): "no uid: one life of a schema",
    ("runtime/data/epoch.py", "_value"): "no uid: one life of a schema",
    ("messages/model.py", "deployment"): "no uid: the epoch of the schema, beside a room's uid",
    ("messages/fanout/log_bus.py", "epoch"): "no uid: the epoch of the schema",
    ("messages/erasure/users_store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/erasure/users_store.py", "last"): "where a walk over all rooms stands, which ends where no room is",
    ("messages/log/store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/transfer/store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/store.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/store.py", "last"): "where a walk over all rooms ends, where mostly no room is",
    ("messages/retention/sweeper.py", "after"): "where a walk over all rooms stands, which begins where no room is",
    ("messages/retention/sweeper.py", "last"): "where a walk over all rooms ends, where mostly no room is",
    ("files/collection/store.py", "after"): "where a walk over all files stands, which begins where no file is",
    ("files/model.py", "attempt"): "no uid: one attempt to upload a file, named beside its uid",
    ("files/content/places.py", "key"): "an owner's uid for uploads, and a file's for downloads",
    ("files/content/places.py", "_taken"): "an owner's uid for uploads, and a file's for downloads",
    ("users/presence/store.py", "replica_id"): "no uid: one life of a process",
    ("files/servicer.py", "new_uid"): "makes what is then given its type",
    ("files/content/uploads.py", "new_uid"): "makes attempts",
    ("rooms/service.py", "new_uid"): "makes what is then given its type",
    ("users/service.py", "new_uid"): "makes what is then given its type",
}
# What ids are called. The stack has them as clients do, from an export or for a command line.
KINDS = {
    "room_id": "RoomId",
    **dict.fromkeys(("user_id", "other_user_id", "sender_id", "owner_id", "creator_id", "author_id"), "UserId"),
    "file_id": "FileId",
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


def _signatures(source: str) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Yield the name and the annotations of each function's parameters, and of each class's fields."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield node.name, {one.arg: one.annotation for one in parameters if one.annotation is not None}
        elif isinstance(node, ast.ClassDef):
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
            yield node.name, {ast.unparse(one.target): one.annotation for one in fields}


def _is_text(annotation: ast.expr) -> bool:
    return ast.unparse(annotation) in {"str", "str | None"}


def confusable(source: str) -> list[str]:
    """List the ids of no type of their own that stand beside one of another kind, or beside another text."""
    found: list[str] = []
    for name, annotations in _signatures(source):
        texts = [one for one, annotation in annotations.items() if _is_text(annotation)]
        kinds = {KINDS[one] for one in annotations if one in KINDS}
        found += [f"{name}({one})" for one in texts if one in KINDS and (len(texts) > 1 or len(kinds) > 1)]
    return found


@pytest.mark.parametrize("part", [*SERVICES, "runtime"])
def test_an_id_beside_another_or_beside_another_text_has_its_type(part: str) -> None:
    for path in sources(part):
        assert confusable(path.read_text()) == [], path


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(room_id: str, user_id: UserId): ...", ["f(room_id)"]),
        ("def f(room_id: RoomId, *, user_id: str | None): ...", ["f(user_id)"]),
        ("def f(user_id: str, permission: str): ...", ["f(user_id)"]),
        ("class C:\n    owner_id: str\n    name: str", ["C(owner_id)"]),
        ("def f(user_id: str, size: int): ...", []),
        ("def f(room_id: RoomId, user_id: UserId, permission: str): ...", []),
    ],
)
def test_what_could_be_confused_is_found(source: str, found: list[str]) -> None:
    assert confusable(source) == found
