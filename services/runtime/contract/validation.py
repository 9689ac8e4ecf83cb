"""Checks requests against the field policies of the contract, compiled once per message."""

from collections.abc import Sequence
from typing import Any, cast

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.runtime.contract.findings import Finding, invalid_request, over
from services.runtime.contract.policies import Limits, field_policy, oneof_required
from services.runtime.contract.value_checks import FINE, Check, value_check

# Details travel in a header, and gRPC replaces an error whose headers have more than 8 KiB by one without a reason.
_MOST_FINDINGS = 20


class Validator:
    """Checks requests; compiled checks are kept for the life of the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._compiled: dict[str, Sequence[tuple[str, FieldDescriptor, Check]]] = {}
        self._required_oneofs: dict[str, Sequence[str]] = {}

    def check(self, request: Message) -> None:
        """Raise InvalidArgument with its violations, the first ones of very many; the first of all is its reason."""
        if findings := self._message(request, ""):
            raise invalid_request(findings[:_MOST_FINDINGS])

    def check_bytes(self, request: Message) -> None:
        """Raise InvalidArgument for fields of bytes that are too long, and look at nothing else."""
        for name, field, check in self._checks(cast("Descriptor", request.DESCRIPTOR)):
            if field.type == FieldDescriptor.TYPE_BYTES and (findings := check(request, name)):
                raise invalid_request(findings)

    def compile(self, message_class: type[Message]) -> None:
        """Compile the checks of a message ahead of the first request."""
        self._checks(cast("Descriptor", message_class.DESCRIPTOR))

    def _message(self, message: Message, path: str) -> Sequence[Finding]:
        """Return what is wrong, or enough of it."""
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        found: list[Finding] = []
        for name, _, check in self._checks(descriptor):
            found += check(message, path + name)
            if len(found) >= _MOST_FINDINGS:
                return found
        for oneof in self._required_oneofs[descriptor.full_name]:
            if message.WhichOneof(oneof) is None:
                found.append(Finding("FIELD_REQUIRED", f"{path}{oneof}", "one of its fields must be set"))
        return found

    def _checks(self, descriptor: Descriptor) -> Sequence[tuple[str, FieldDescriptor, Check]]:
        name = descriptor.full_name
        if name not in self._compiled:
            self._required_oneofs[name] = [oneof.name for oneof in descriptor.oneofs if oneof_required(oneof)]
            # Set before the fields are compiled, because a message may contain itself.
            checks: list[tuple[str, FieldDescriptor, Check]] = []
            self._compiled[name] = checks
            checks.extend((field.name, field, self._field(field)) for field in descriptor.fields)
        return self._compiled[name]

    def _field(self, field: FieldDescriptor) -> Check:
        policy = field_policy(field)
        one = value_check(field, policy, self._limits) or self._nested(cast("Descriptor", field.message_type))
        name, needed = field.name, policy.required
        if field.is_repeated:
            return self._repeated(name, policy, one)
        if field.message_type is not None or field.containing_oneof is not None:
            required = needed and not _is_choice(field)

            def optional(message: Any, path: str) -> Sequence[Finding]:
                if message.HasField(name):
                    value = getattr(message, name)
                    return _required(path, "must not be empty") if needed and value == "" else one(value, path)
                return _required(path, "must be set") if required else FINE

            return optional

        def singular(message: Any, path: str) -> Sequence[Finding]:
            value = getattr(message, name)
            if value:
                return one(value, path)
            return _required(path, "must not be empty") if needed else FINE

        return singular

    def _nested(self, descriptor: Descriptor) -> Check:
        self._checks(descriptor)
        return lambda value, path: self._message(value, f"{path}.")

    def _repeated(self, name: str, policy: field_policy_pb2.FieldPolicy, one: Check) -> Check:
        needed, are_alone = policy.required, policy.items_alone
        most = self._limits[policy.max_items] if policy.max_items else None
        total = self._limits[policy.sum.limit] if policy.sum.limit else None
        summed = tuple(policy.sum.fields)

        def of_items(items: Sequence[Any], path: str) -> Sequence[Finding]:
            found: list[Finding] = []
            for index, item in enumerate(items):
                of_item = f"{path}[{index}]"
                found += _required(of_item, "must not be empty") if needed and item == "" else one(item, of_item)
                if len(found) >= _MOST_FINDINGS:
                    break
            return found

        def check(message: Any, path: str) -> Sequence[Finding]:
            items = getattr(message, name)
            if not items:
                return _required(path, "must have at least one item") if needed else FINE
            if most is not None and len(items) > most:
                return [over(policy.max_items, path, most, len(items))]
            found = FINE if are_alone else of_items(items, path)
            if total is not None:
                size = sum([len(getattr(item, part).encode()) for item in items for part in summed])
                if size > total:
                    return [*found, over(policy.sum.limit, path, total, size)]
            return found

        return check


def _required(path: str, description: str) -> Sequence[Finding]:
    return [Finding("FIELD_REQUIRED", path, description)]


def _is_choice(field: FieldDescriptor) -> bool:
    """Tell whether a field is one of several of which one is set; to be optional is a oneof of its own."""
    oneof = field.containing_oneof
    return oneof is not None and oneof.name != f"_{field.name}"
