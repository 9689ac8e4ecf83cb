"""Update masks: which fields of a request change, by the rules of the contract."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from services.runtime.contract import json_values
from services.runtime.contract.errors import invalid_field


def changes(request: Message, updatable: Sequence[str], required: Sequence[str]) -> dict[str, Any]:
    """Return the new values by field: those that the mask names, or without a mask those that are set.

    Set is a text or a number that is not empty, and whatever has presence and is there, an empty object included.

    A masked empty field clears, unless it is required: then it is FIELD_REQUIRED. A field that can be set and empty is
    cleared, to None, only when it is not set.
    """
    paths = list(request.update_mask.paths)  # type: ignore[attr-defined]
    for index, path in enumerate(paths):
        if path not in updatable:
            raise invalid_field(
                "FIELD_INVALID",
                f"update_mask.paths[{index}]",
                f"must be one of {', '.join(updatable)}",
            )
    set_fields = {field.name for field, _ in request.ListFields()}
    changed = paths or [name for name in updatable if name in set_fields]
    for name in changed:
        if name in required and name not in set_fields:
            raise invalid_field("FIELD_REQUIRED", name, "can't be cleared")
    return {name: _value(request, name, name in set_fields) for name in changed}


def _value(request: Message, name: str, is_set: bool) -> Any:
    if not is_set and request.DESCRIPTOR.fields_by_name[name].has_presence:
        return None
    value = getattr(request, name)
    return json_values.plain(value) if isinstance(value, struct_pb2.Struct) else value
