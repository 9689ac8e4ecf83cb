"""The checks of single values, by the kind of their field.

They also refuse what PostgreSQL would refuse in the middle of a batch: U+0000 in any string, NaN and infinity in a
Struct or Value. They refuse JSON that is nested so deeply that others could not read it, and numbers of enums that the
contract does not know.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.runtime.contract import json_values
from services.runtime.contract.findings import Finding, over, under
from services.runtime.contract.formats import FORM_NAMES, FORMS
from services.runtime.contract.policies import Limits

# google.protobuf.Timestamp is defined from year 1 to year 9999.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
# A reader refuses messages nested more than 100 deep, and of JSON each level is up to three of them. What could be sent
# in a small request and not be read in a larger answer would shut everybody out who meets it.
_MOST_NESTED = 20
# How many bytes a message has for each of the same JSON's, at most: `0,` is a number of eleven bytes in a list.
_WIRE_PER_JSON = 6

# Returns what is wrong with a value, which is at a path of the request. Nearly always that is nothing: generators would
# cost twice as much.
Check = Callable[[Any, str], Sequence[Finding]]
FINE: Sequence[Finding] = ()


def value_check(  # noqa: PLR0911 - a table
    field: FieldDescriptor, policy: field_policy_pb2.FieldPolicy, limits: Limits
) -> Check | None:
    """Compile the check of one value of a field; None for a message, whose fields are looked at one by one."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(policy, limits)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(policy, limits)
    if field.enum_type is not None:
        known = {value.number for value in field.enum_type.values}
        return lambda value, path: FINE if value in known else _invalid(path, f"{value} is not a value of the enum")
    if field.message_type is None:
        return _number(policy, limits)
    match field.message_type.full_name:
        case "google.protobuf.Struct":
            return _json(policy, limits, json_values.plain)
        case "google.protobuf.Value":
            return _json(policy, limits, json_values.plain_value)
        case "google.protobuf.Timestamp":
            return _check_timestamp
        case "google.protobuf.FieldMask":
            return _mask(policy, limits)
    return None


def _string(policy: field_policy_pb2.FieldPolicy, limits: Limits) -> Check:
    most = limits[policy.max_chars] if policy.max_chars else None
    has_form = FORMS[policy.format]

    def check(value: str, path: str) -> Sequence[Finding]:
        if most is not None and len(value) > most:
            return [over(policy.max_chars, path, most, len(value))]
        if "\0" in value:
            return _invalid(path, "must not contain U+0000")
        if value and has_form is not None and not has_form(value):
            return _invalid(path, FORM_NAMES[policy.format])
        return FINE

    return check


def _bytes(policy: field_policy_pb2.FieldPolicy, limits: Limits) -> Check:
    most = limits[policy.max_bytes] if policy.max_bytes else None

    def check(value: bytes, path: str) -> Sequence[Finding]:
        if most is not None and len(value) > most:
            return [over(policy.max_bytes, path, most, len(value))]
        return FINE

    return check


def _number(policy: field_policy_pb2.FieldPolicy, limits: Limits) -> Check:
    refuses_negative = policy.not_negative or policy.max_value or policy.HasField("page_size")
    most = limits[policy.max_value] if policy.max_value else None
    least = limits[policy.min_value] if policy.min_value else None

    def check(value: float, path: str) -> Sequence[Finding]:
        if refuses_negative and value < 0:
            return _invalid(path, "must not be negative")
        if most is not None and value > most:
            return [over(policy.max_value, path, most, int(value))]
        if least is not None and value < least:
            return [under(policy.min_value, path, least, int(value))]
        return FINE

    return check


def _json(policy: field_policy_pb2.FieldPolicy, limits: Limits, plain_of: Callable[[Any], Any]) -> Check:
    most = limits[policy.max_json_bytes] if policy.max_json_bytes else None

    def check(value: Any, path: str) -> Sequence[Finding]:
        # Reading a value costs a hundred times what sending it costs, so what is certainly too much is not read.
        if most is not None and (least := value.ByteSize() // _WIRE_PER_JSON) > most:
            return [over(policy.max_json_bytes, path, most, least, "at least ")]
        try:
            plain = plain_of(value)
        except ValueError:
            # Many readers fail over it, and in JSON there is no such thing.
            return _invalid(path, "must not hold a value of no kind")
        if not _is_storable(plain):
            return _invalid(path, "must not contain U+0000, NaN or infinity")
        if _is_deeper(plain, _MOST_NESTED):
            return _invalid(path, f"must not be nested more than {_MOST_NESTED} deep")
        if most is not None and (size := len(json_values.compact(plain).encode())) > most:
            return [over(policy.max_json_bytes, path, most, size)]
        return FINE

    return check


def _mask(policy: field_policy_pb2.FieldPolicy, limits: Limits) -> Check:
    most = limits[policy.max_items]

    def check(value: Any, path: str) -> Sequence[Finding]:
        return FINE if len(value.paths) <= most else [over(policy.max_items, path, most, len(value.paths))]

    return check


def _invalid(path: str, description: str) -> Sequence[Finding]:
    return [Finding("FIELD_INVALID", path, description)]


def _check_timestamp(value: Any, path: str) -> Sequence[Finding]:
    if value.seconds in _TIMESTAMP_SECONDS and value.nanos in _NANOS:
        return FINE
    return _invalid(path, "is not a time of year 1 to 9999")


def _is_storable(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_storable(key) and _is_storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_storable(item) for item in value)
    return True


def _is_deeper(value: object, levels: int) -> bool:
    """Tell whether lists and objects lie within one another more often than so many times."""
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in items)
