"""Update masks: which fields of a request change, by the rules of the contract."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from services.runtime import json_values
from services.runtime.errors import InvalidArgument, Violation


def changes(request: Message, updatable: Sequence[str], required: Sequence[str]) -> dict[str, Any]:
    """Return the new values by field: those that the mask names, or without a mask those that are not empty.

    A masked empty field clears, unless it is required: then it is FIELD_REQUIRED.
    """
    paths = list(request.update_mask.paths)  # type: ignore[attr-defined]
    for index, path in enumerate(paths):
        if path not in updatable:
            raise _refused(
                "FIELD_INVALID",
                f"update_mask.paths[{index}]",
                f"must be one of {', '.join(updatable)}",
            )
    set_fields = {field.name for field, _ in request.ListFields()}
    changed = paths or [name for name in updatable if name in set_fields]
    for name in changed:
        if name in required and name not in set_fields:
            raise _refused("FIELD_REQUIRED", name, "can't be cleared")
    return {name: _value(request, name, name in set_fields) for name in changed}


def _value(request: Message, name: str, is_set: bool) -> Any:
    value = getattr(request, name)
    if isinstance(value, struct_pb2.Struct):
        return json_values.plain(value) if is_set else None
    return value


def _refused(reason: str, field: str, description: str) -> InvalidArgument:
    return InvalidArgument(
        reason,
        f"{field}: {description}",
        metadata={"field": field},
        violations=[Violation(field, description)],
    )
