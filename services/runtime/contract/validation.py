"""Checks requests against the field policies of the contract, compiled once per message.

It also refuses what PostgreSQL would refuse in the middle of a batch: U+0000 in any string, NaN and infinity in a
Struct or Value. It refuses JSON that is nested so deeply that others could not read it, and numbers of enums that the
contract does not know.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.runtime.contract import json_values
from services.runtime.contract.errors import InvalidArgument, Violation
from services.runtime.contract.formats import FORM_NAMES, FORMS
from services.runtime.contract.policies import Limits, field_policy, limit_name, oneof_required

# google.protobuf.Timestamp is defined from year 1 to year 9999.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
# A reader refuses messages nested more than 100 deep, and of JSON each level is up to three of them. What could be sent
# in a small request and not be read in a larger answer would shut everybody out who meets it.
_MOST_NESTED = 20
# How many bytes a message has for each of the same JSON's, at most: `0,` is a number of eleven bytes in a list.
_WIRE_PER_JSON = 6
# Details travel in a header, and gRPC replaces an error whose headers have more than 8 KiB by one without a reason.
_MOST_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a request."""

    reason: str
    field: str
    description: str
    limit: str = ""
    # The limit's value, which is a maximum or a minimum.
    bound: int = 0
    actual: int = 0


FieldCheck = Callable[[Any, str], Iterator[Finding]]


class Validator:
    """Checks requests; compiled checks are kept for the life of the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._compiled: dict[str, Sequence[tuple[FieldDescriptor, FieldCheck]]] = {}
        self._required_oneofs: dict[str, Sequence[str]] = {}

    def check(self, request: Message) -> None:
        """Raise InvalidArgument with its violations, the first ones of very many; the first of all is its reason."""
        findings = list(islice(self._message(request, ""), _MOST_FINDINGS))
        if findings:
            raise _error(findings)

    def check_bytes(self, request: Message) -> None:
        """Raise InvalidArgument for fields of bytes that are too long, and look at nothing else."""
        for field, check in self._checks(cast("Descriptor", request.DESCRIPTOR)):
            if field.type == FieldDescriptor.TYPE_BYTES and (findings := list(check(request, field.name))):
                raise _error(findings)

    def compile(self, message_class: type[Message]) -> None:
        """Compile the checks of a message ahead of the first request."""
        self._checks(cast("Descriptor", message_class.DESCRIPTOR))

    def _message(self, message: Message, path: str) -> Iterator[Finding]:
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        for field, check in self._checks(descriptor):
            yield from check(message, f"{path}{field.name}")
        for oneof in self._required_oneofs[descriptor.full_name]:
            if message.WhichOneof(oneof) is None:
                yield Finding("FIELD_REQUIRED", f"{path}{oneof}", "one of its fields must be set")

    def _checks(self, descriptor: Descriptor) -> Sequence[tuple[FieldDescriptor, FieldCheck]]:
        name = descriptor.full_name
        if name not in self._compiled:
            self._required_oneofs[name] = [oneof.name for oneof in descriptor.oneofs if oneof_required(oneof)]
            # Set before the fields are compiled, because a message may contain itself.
            checks: list[tuple[FieldDescriptor, FieldCheck]] = []
            self._compiled[name] = checks
            checks.extend((field, self._field(field)) for field in descriptor.fields)
        return self._compiled[name]

    def _field(self, field: FieldDescriptor) -> FieldCheck:
        policy = field_policy(field)
        one = self._value(field, policy)
        name = field.name
        if field.is_repeated:
            return self._repeated(name, policy, one)
        if field.message_type is not None or field.containing_oneof is not None:
            required = policy.required and not _is_choice(field)

            def optional(message: Any, path: str) -> Iterator[Finding]:
                if message.HasField(name):
                    value = getattr(message, name)
                    if value == "" and policy.required:
                        yield Finding("FIELD_REQUIRED", path, "must not be empty")
                    yield from one(value, path)
                elif required:
                    yield Finding("FIELD_REQUIRED", path, "must be set")

            return optional

        def singular(message: Any, path: str) -> Iterator[Finding]:
            value = getattr(message, name)
            if value:
                yield from one(value, path)
            elif policy.required:
                yield Finding("FIELD_REQUIRED", path, "must not be empty")

        return singular

    def _repeated(self, name: str, policy: field_policy_pb2.FieldPolicy, one: FieldCheck) -> FieldCheck:
        most = self._limits[policy.max_items] if policy.max_items else None
        total = self._limits[policy.sum.limit] if policy.sum.limit else None

        def check(message: Any, path: str) -> Iterator[Finding]:
            items = getattr(message, name)
            if policy.required and not items:
                yield Finding("FIELD_REQUIRED", path, "must have at least one item")
            if most is not None and len(items) > most:
                yield _over(policy.max_items, path, most, len(items))
                return
            for index, item in enumerate(() if policy.items_alone else items):
                if policy.required and item == "":
                    yield Finding("FIELD_REQUIRED", f"{path}[{index}]", "must not be empty")
                yield from one(item, f"{path}[{index}]")
            if total is not None:
                size = sum(len(getattr(item, part).encode()) for item in items for part in policy.sum.fields)
                if size > total:
                    yield _over(policy.sum.limit, path, total, size)

        return check

    def _value(self, field: FieldDescriptor, policy: field_policy_pb2.FieldPolicy) -> FieldCheck:  # noqa: PLR0911 - a table
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._string(policy)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._bytes(policy)
        if field.enum_type is not None:
            known = {value.number for value in field.enum_type.values}
            return lambda value, path: _if(value not in known, path, f"{value} is not a value of the enum")
        if field.message_type is None:
            return self._number(policy)
        match field.message_type.full_name:
            case "google.protobuf.Struct":
                return self._json(policy, json_values.plain)
            case "google.protobuf.Value":
                return self._json(policy, json_values.plain_value)
            case "google.protobuf.Timestamp":
                return _check_timestamp
            case "google.protobuf.FieldMask":
                return self._mask(policy)
        self._checks(field.message_type)
        return lambda value, path: self._message(value, f"{path}.")

    def _string(self, policy: field_policy_pb2.FieldPolicy) -> FieldCheck:
        most = self._limits[policy.max_chars] if policy.max_chars else None
        has_form = FORMS[policy.format]

        def check(value: str, path: str) -> Iterator[Finding]:
            if most is not None and len(value) > most:
                yield _over(policy.max_chars, path, most, len(value))
            elif "\0" in value:
                yield Finding("FIELD_INVALID", path, "must not contain U+0000")
            elif value and has_form is not None and not has_form(value):
                yield Finding("FIELD_INVALID", path, FORM_NAMES[policy.format])

        return check

    def _bytes(self, policy: field_policy_pb2.FieldPolicy) -> FieldCheck:
        most = self._limits[policy.max_bytes] if policy.max_bytes else None

        def check(value: bytes, path: str) -> Iterator[Finding]:
            if most is not None and len(value) > most:
                yield _over(policy.max_bytes, path, most, len(value))

        return check

    def _number(self, policy: field_policy_pb2.FieldPolicy) -> FieldCheck:
        refuses_negative = policy.not_negative or policy.max_value or policy.HasField("page_size")
        most = self._limits[policy.max_value] if policy.max_value else None
        least = self._limits[policy.min_value] if policy.min_value else None

        def check(value: float, path: str) -> Iterator[Finding]:
            if refuses_negative and value < 0:
                yield Finding("FIELD_INVALID", path, "must not be negative")
            elif most is not None and value > most:
                yield _over(policy.max_value, path, most, int(value))
            elif least is not None and value < least:
                yield _under(policy.min_value, path, least, int(value))

        return check

    def _json(self, policy: field_policy_pb2.FieldPolicy, plain_of: Callable[[Any], Any]) -> FieldCheck:
        most = self._limits[policy.max_json_bytes] if policy.max_json_bytes else None

        def check(value: Any, path: str) -> Iterator[Finding]:
            # Reading a value costs a hundred times what sending it costs, so what is certainly too much is not read.
            if most is not None and (least := value.ByteSize() // _WIRE_PER_JSON) > most:
                yield _over(policy.max_json_bytes, path, most, least, "at least ")
                return
            plain = plain_of(value)
            if not _is_storable(plain):
                yield Finding("FIELD_INVALID", path, "must not contain U+0000, NaN or infinity")
            elif _is_deeper(plain, _MOST_NESTED):
                yield Finding("FIELD_INVALID", path, f"must not be nested more than {_MOST_NESTED} deep")
            elif most is not None:
                size = len(json_values.compact(plain).encode())
                if size > most:
                    yield _over(policy.max_json_bytes, path, most, size)

        return check

    def _mask(self, policy: field_policy_pb2.FieldPolicy) -> FieldCheck:
        most = self._limits[policy.max_items]

        def check(value: Any, path: str) -> Iterator[Finding]:
            if len(value.paths) > most:
                yield _over(policy.max_items, path, most, len(value.paths))

        return check


def _is_choice(field: FieldDescriptor) -> bool:
    """Tell whether a field is one of several of which one is set; to be optional is a oneof of its own."""
    oneof = field.containing_oneof
    return oneof is not None and oneof.name != f"_{field.name}"


def _if(wrong: bool, path: str, description: str) -> Iterator[Finding]:
    if wrong:
        yield Finding("FIELD_INVALID", path, description)


def _over(limit: int, path: str, maximum: int, actual: int, surely: str = "") -> Finding:
    name = limit_name(limit)
    return Finding(
        "LIMIT_EXCEEDED",
        path,
        f"{name} is {maximum}, sent were {surely}{actual}",
        name,
        maximum,
        actual,
    )


def _under(limit: int, path: str, minimum: int, actual: int) -> Finding:
    name = limit_name(limit)
    return Finding(
        "BELOW_MINIMUM", path, f"{name} is {minimum} at the least, sent were {actual}", name, minimum, actual
    )


def _check_timestamp(value: Any, path: str) -> Iterator[Finding]:
    yield from _if(
        value.seconds not in _TIMESTAMP_SECONDS or value.nanos not in _NANOS,
        path,
        "is not a time of year 1 to 9999",
    )


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


def _error(findings: Sequence[Finding]) -> InvalidArgument:
    first = findings[0]
    metadata = {"field": first.field}
    if first.limit:
        bound = "minimum" if first.reason == "BELOW_MINIMUM" else "maximum"
        metadata |= {
            "limit": first.limit,
            bound: str(first.bound),
            "actual": str(first.actual),
        }
    return InvalidArgument(
        first.reason,
        f"{first.field}: {first.description}",
        metadata=metadata,
        violations=[Violation(finding.field, finding.description) for finding in findings],
        quota=[Violation(finding.limit, finding.description) for finding in findings if finding.limit],
    )
