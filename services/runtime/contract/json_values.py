"""google.protobuf.Struct and Value to JSON and back, compact and without loss: its numbers are IEEE doubles."""

import json
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2

# Beyond this not every whole number is a double, so a double is printed as one.
_EXACT = 2**53


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the Struct as Python's dict, whole numbers as int. Raises ValueError for a value of no kind."""
    return {key: plain_value(value) for key, value in struct.fields.items()}


def plain_value(value: struct_pb2.Value) -> Any:
    """Return the Value as Python has it, whole numbers as int. Raises ValueError for a value of no kind."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            whole = number.is_integer() and abs(number) < _EXACT and not (number == 0 and math.copysign(1, number) < 0)
            return int(number) if whole else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return plain(value.struct_value)
        case "list_value":
            return [plain_value(item) for item in value.list_value.values]
        case "null_value":
            return None
        case _:
            raise ValueError("a value has no kind")


def as_doubles(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a column of jsonb holds as `plain` makes it: PostgreSQL has whole numbers of any length."""
    struct = struct_of(value)
    return plain(struct) if struct is not None else None


def as_jsonb(value: Any) -> Any:
    """Return what `plain_value` made as PostgreSQL keeps it in a column of jsonb: zero has no sign there."""
    match value:
        case float() if value == 0:
            return 0
        case dict():
            return {key: as_jsonb(item) for key, item in value.items()}
        case list():
            return [as_jsonb(item) for item in value]
        case _:
            return value


def compact(value: Any) -> str:
    """Return compact JSON; its length in UTF-8 is what limits count."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def struct_of(value: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    """Return the Struct of a dict that `plain` made; None stays None, for a field that is not set."""
    if value is None:
        return None
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


def value_of(value: Any) -> struct_pb2.Value:
    """Return the Value of what `plain_value` made."""
    result = struct_pb2.Value()
    match value:
        case None:
            result.null_value = struct_pb2.NULL_VALUE
        case bool():
            result.bool_value = value
        case int() | float():
            result.number_value = value
        case str():
            result.string_value = value
        case dict():
            result.struct_value.SetInParent()
            for key, item in value.items():
                result.struct_value.fields[key].CopyFrom(value_of(item))
        case _:
            result.list_value.SetInParent()
            result.list_value.values.extend(value_of(item) for item in value)
    return result
