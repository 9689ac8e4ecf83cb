"""google.protobuf.Struct to JSON and back, compact and without loss: its numbers are IEEE doubles."""

import json
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2

# Beyond this not every whole number is a double, so a double is printed as one.
_EXACT = 2**53


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the Struct as Python's dict, whole numbers as int."""
    return {key: _plain_value(value) for key, value in struct.fields.items()}


def _plain_value(value: struct_pb2.Value) -> Any:
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
            return [_plain_value(item) for item in value.list_value.values]
        case _:
            return None


def compact(value: Mapping[str, Any]) -> str:
    """Return compact JSON; its length in UTF-8 is what limits count."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def struct_of(value: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    """Return the Struct of a dict that `plain` made; None stays None, for a field that is not set."""
    if value is None:
        return None
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct
