"""Messages made from their descriptors: from nothing, or from an example that is right."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from services.edge.reference.requests import REQUESTS
from services.runtime.contract.policies import Limits, MethodContract, field_policy
from services.stack.fuzz.making.chance import Chance
from services.stack.fuzz.making.known import UNKNOWN, Known
from services.stack.fuzz.making.values import ODD_TEXTS, Values

_SET, _DEEPEST = 0.5, 4
# Where a list is long, its items are small: what is too large altogether is another matter.
_LONG_LIST = 12
_PATHS = ("name", "avatar_url", "custom_data", "parts", "", "*", "a.b.c", "NAME", "name,name", UNKNOWN)
_SECONDS = (0, 1, -1, 1_700_000_000, -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800, 2**63 - 1)
_NANOS = (0, 1, 999_999_999, 1_000_000_000, -1)
_DEPTHS = (0, 1, 2, 19, 20, 21, 30)
_JSON_VALUES = (None, True, 0, -0.0, 1e308, 2**53 + 1, float("nan"), float("inf"))


class Messages:
    """Makes requests of methods; all that is random comes from `chance`."""

    def __init__(self, chance: Chance, limits: Limits, known: Known) -> None:
        self._chance = chance
        self._values = Values(chance, limits)
        self._known = known
        self._method = ""

    def example(self, method: MethodContract) -> Message:
        """Return a request that is right, about what there is; an empty one where no example is known."""
        self._method = method.path.removeprefix("/").replace("/", ".")
        message = method.request_class()
        if self._method in REQUESTS:
            ParseDict(REQUESTS[self._method], message)
        self._point(message)
        return message

    def mutated(self, method: MethodContract) -> Message:
        """Return an example of which one to three fields, anywhere in it, are something else."""
        message = self.example(method)
        for _ in range(self._chance.randint(1, 3)):
            inner = self._chance.choice(_messages_in(message))
            fields: list[Any] = list(inner.DESCRIPTOR.fields)
            if fields:
                self._fill(inner, self._chance.choice(fields), 0)
        return message

    def made(self, method: MethodContract) -> Message:
        """Return a request of which every field may be anything."""
        self._method = method.path.removeprefix("/").replace("/", ".")
        message = method.request_class()
        self._fill_any(message, 0)
        return message

    def _point(self, message: Message) -> None:
        """Let fields that name something name what is there."""
        for inner in _messages_in(message):
            for field, value in list(inner.ListFields()):
                known = self._known.of_text(field.name, self._method)
                if field.cpp_type != FieldDescriptor.CPPTYPE_STRING or not known or field.name == "name":
                    continue
                if field.name == "id":
                    inner.id = f"{value}-{self._chance.randrange(10**6)}"  # type: ignore[attr-defined]
                elif field.is_repeated:
                    value[:] = [self._chance.choice(known) for _ in value]
                elif value not in known or self._chance.of(30):
                    setattr(inner, field.name, self._chance.choice(known))
            if "request_id" in inner.DESCRIPTOR.fields_by_name and self._chance.of(90):
                inner.request_id = str(self._chance.randrange(10**9))  # type: ignore[attr-defined]

    def _fill_any(self, message: Any, depth: int) -> None:
        for field in message.DESCRIPTOR.fields:
            if self._chance.random() < _SET / (1 + depth / 2):
                self._fill(message, field, depth)

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        message.ClearField(field.name)
        if field.is_repeated and not _is_map(field):
            self._fill_list(getattr(message, field.name), field, depth)
        elif field.message_type is not None:
            if depth < _DEEPEST and not _is_map(field):
                inner = getattr(message, field.name)
                inner.SetInParent()
                self._fill_message(inner, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _fill_list(self, items: Any, field: FieldDescriptor, depth: int) -> None:
        count = self._values.count(field_policy(field))
        if field.message_type is None:
            items.extend(self._scalar(field) if count < _LONG_LIST else self._small(field, at) for at in range(count))
        elif depth < _DEEPEST:
            self._fill_message(items.add(), depth + 1)
            one = items[0]
            for _ in range(count - 1):
                # Long lists hold the same again, with another id where there is one.
                if count < _LONG_LIST:
                    self._fill_message(items.add(), depth + 1)
                else:
                    items.add().CopyFrom(one)

    def _fill_message(self, message: Any, depth: int) -> None:
        match message.DESCRIPTOR.full_name:
            case "google.protobuf.Struct":
                message.CopyFrom(self._struct())
            case "google.protobuf.Value":
                if self._chance.of(90):
                    message.struct_value.CopyFrom(self._struct())
            case "google.protobuf.Timestamp":
                message.seconds, message.nanos = self._chance.choice(_SECONDS), self._chance.choice(_NANOS)
            case "google.protobuf.FieldMask":
                most = self._chance.choice((1, 2, 16, 17))
                message.paths.extend(self._chance.choices(_PATHS, k=most))
            case _:
                self._fill_any(message, depth)

    def _scalar(self, field: FieldDescriptor) -> Any:
        policy = field_policy(field)
        if field.enum_type is not None:
            return self._values.option(field.enum_type)
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return self._values.text(policy, self._known.of_text(field.name, self._method))
            case FieldDescriptor.TYPE_BYTES:
                return self._values.octets(policy)
            case FieldDescriptor.TYPE_BOOL:
                return self._chance.of(50)
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                return self._values.real()
        return self._values.number(field, policy)

    def _small(self, field: FieldDescriptor, number: int) -> Any:
        if field.type == FieldDescriptor.TYPE_STRING:
            known: Sequence[str] = self._known.of_text(field.name, self._method)
            return known[number] if number < len(known) else f"{UNKNOWN}-{number}"
        return self._scalar(field)

    def _struct(self) -> struct_pb2.Struct:
        struct = struct_pb2.Struct()
        for _ in range(self._chance.choice((0, 1, 1, 2))):
            key = self._chance.choice((*ODD_TEXTS, "k", "key"))
            value = struct_pb2.Value()
            self._fill_value(value, self._chance.choice(_DEPTHS))
            struct.fields[key].CopyFrom(value)
        if self._chance.of(20):
            struct.fields["large"].string_value = "é" * self._chance.choice((2_500, 2_560, 30_000))
        return struct

    def _fill_value(self, value: struct_pb2.Value, depth: int) -> None:
        for _ in range(depth):
            is_list = self._chance.of(50)
            value = value.list_value.values.add() if is_list else value.struct_value.fields["k"]
        chosen = self._chance.choice((*_JSON_VALUES, *ODD_TEXTS))
        if chosen is None:
            # Of no kind at all, as often as null.
            if self._chance.of(50):
                value.null_value = struct_pb2.NULL_VALUE
        elif isinstance(chosen, bool):
            value.bool_value = chosen
        elif isinstance(chosen, str):
            value.string_value = chosen
        else:
            value.number_value = chosen


def _messages_in(message: Message) -> list[Message]:
    """List a message and those that are in it, but for what is JSON."""
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
            continue
        for inner in value if field.is_repeated else [value]:
            found += _messages_in(inner)
    return found


def _is_map(field: FieldDescriptor) -> bool:
    kind: Descriptor | None = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)
