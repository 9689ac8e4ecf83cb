"""Every reason has one code, and what the services raise is what the contract says."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2, stream_pb2
from google.protobuf import json_format

from services.runtime.contract.errors import ChatkitError, InvalidArgument, class_of, invalid_field, number_of
from services.runtime.contract.policies import error_definition
from tests.contract import descriptors

OLDER_PREFIX = "ERROR_REASON_"
ALL = [value for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values if value.number]
VALUES = [value for value in ALL if not value.name.startswith(OLDER_PREFIX)]
PROTO = descriptors.PROTOS / "chatkit/contract/v1/error_reason.proto"
CLASSES = {kind.__name__: kind for kind in ChatkitError.__subclasses__()}
# What makes an error in the services' source, with the class that it makes; a function fills in the metadata itself.
MAKERS = {**CLASSES, invalid_field.__name__: InvalidArgument}
# Raised below the place that knows the metadata; nothing can be deleted yet, so nobody sees it. And what the edge says
# of whichever service it is.
WITHOUT_METADATA = {("rooms/views_store.py", "ROOM_NOT_FOUND"), ("edge/rendering/screening.py", "SERVICE_UNAVAILABLE")}


@dataclass(frozen=True)
class Raised:
    """A place in the services' source that makes an error."""

    file: str
    kind: str
    reason: str
    has_metadata: bool


def _raised() -> Iterator[Raised]:
    services = descriptors.ROOT / "services"
    for path in sorted(services.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
                if not node.args or not isinstance(node.args[0], ast.Constant):
                    continue
                maker = MAKERS[node.func.id]
                metadata = maker is not CLASSES.get(node.func.id) or any(key.arg == "metadata" for key in node.keywords)
                name = path.relative_to(services).as_posix()
                yield Raised(name, maker.__name__, str(node.args[0].value), metadata)


def _comments() -> dict[str, tuple[str, str]]:
    """Return each reason's comment and the name of its code as people read them."""
    found = re.findall(r"((?:  //[^\n]*\n)+)  (\w+) = \d+(?: \[[^\]]*\]; // (\w+))?", PROTO.read_text())
    return {name: (re.sub(r"\s*//\s*", " ", comment), code) for comment, name, code in found}


RAISED = list(_raised())


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_a_reason_has_a_code_and_a_class_and_its_comment_names_that_code(value: object) -> None:
    reason = value.name  # type: ignore[attr-defined]
    code = class_of(reason).code
    assert error_definition(value).code == code.value[0]  # type: ignore[arg-type]
    assert code not in {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}
    assert _comments()[reason][1] == code.name
    assert number_of(reason) == value.number  # type: ignore[attr-defined]


def test_a_reason_is_shown_by_its_name_and_known_by_its_older_one_too() -> None:
    older = {value.name: value.number for value in ALL if value not in VALUES}
    assert {f"{OLDER_PREFIX}{value.name}": value.number for value in VALUES} == older
    for value in VALUES:
        closed = stream_pb2.StreamClosed(reason=value.name)
        assert json_format.MessageToDict(closed) == {"reason": value.name}


def test_every_canonical_code_that_is_raised_has_exactly_one_class() -> None:
    codes = [kind.code for kind in CLASSES.values()]
    assert len(set(codes)) == len(codes)
    assert {class_of(value.name) for value in VALUES} == set(CLASSES.values())


def test_what_the_services_raise_are_reasons_of_the_contract_with_their_classes() -> None:
    assert len(RAISED) > 30
    for raised in RAISED:
        assert class_of(raised.reason).__name__ == raised.kind, raised


def test_errors_carry_metadata_where_the_contract_promises_it() -> None:
    promised = {name for name, (comment, _) in _comments().items() if "Metadata:" in comment}
    assert "ROOM_ACCESS_DENIED" in promised
    # Every INTERNAL gets its id where it leaves the process.
    promised.remove("INTERNAL")
    bare = {(raised.file, raised.reason) for raised in RAISED if raised.reason in promised and not raised.has_metadata}
    assert bare == WITHOUT_METADATA
