"""The policy that the protos declare, read from their descriptors: limits, and what each method asks.

Nothing else in the suite knows a limit's value. A deployment overrides one with CHATKIT_LIMIT_<NAME>.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from chatkit.contract.v1 import (
    error_reason_pb2,
    field_policy_pb2,
    limit_pb2,
    method_policy_pb2,
    permission_pb2,
)
from google.protobuf.descriptor import (
    Descriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ENVIRONMENT_PREFIX = "CHATKIT_LIMIT_"
_PREFIX = "LIMIT_"


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit in force, for tables."""

    name: str
    default: int
    value: int
    unit: str
    description: str
    planned: bool


class Limits:
    """The limits in force, by the numbers of the contract's enum `Limit`."""

    def __init__(self, overrides: Mapping[str, int] | None = None) -> None:
        unknown = set(overrides or {}) - {row.name for row in _defaults()}
        if unknown:
            raise ValueError(f"no such limit: {', '.join(sorted(unknown))}")
        self.rows = [_overridden(row, overrides or {}) for row in _defaults()]
        self._values = {limit_pb2.Limit.Value(_PREFIX + row.name): row.value for row in self.rows}

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Limits":
        """Read the overrides of a deployment; a value that is no positive whole number is a ValueError."""
        overrides: dict[str, int] = {}
        for key, text in environ.items():
            if key.startswith(ENVIRONMENT_PREFIX):
                if not text.isascii() or not text.isdigit() or int(text) < 1:
                    raise ValueError(f"{key} must be a positive whole number, not {text!r}")
                overrides[key.removeprefix(ENVIRONMENT_PREFIX)] = int(text)
        return cls(overrides)

    def __getitem__(self, limit: int) -> int:
        """Return the value of a limit of the contract."""
        return self._values[cast("limit_pb2.Limit", limit)]


def limits_table(environ: Mapping[str, str]) -> list[LimitRow]:
    """List the limits in force in the contract's order."""
    return Limits.from_environ(environ).rows


def limit_name(limit: int) -> str:
    """Return a limit's name as people read it, without its prefix."""
    return limit_pb2.Limit.Name(cast("limit_pb2.Limit", limit)).removeprefix(_PREFIX)


def _defaults() -> Iterator[LimitRow]:
    for value in limit_pb2.Limit.DESCRIPTOR.values:
        if value.number:
            definition = limit_definition(value)
            yield LimitRow(
                name=value.name.removeprefix(_PREFIX),
                default=definition.default_value,
                value=definition.default_value,
                unit=definition.unit,
                description=definition.description,
                planned=definition.planned,
            )


def _overridden(row: LimitRow, overrides: Mapping[str, int]) -> LimitRow:
    value = overrides.get(row.name, row.value)
    return LimitRow(row.name, row.default, value, row.unit, row.description, row.planned)


def limit_definition(value: EnumValueDescriptor) -> limit_pb2.LimitDefinition:
    """Return what the contract says of a limit."""
    return cast("limit_pb2.LimitDefinition", _option(value, limit_pb2.limit))


def error_definition(value: EnumValueDescriptor) -> error_reason_pb2.ErrorDefinition:
    """Return what the contract says of a reason."""
    return cast("error_reason_pb2.ErrorDefinition", _option(value, error_reason_pb2.error))


def permissions() -> list[permission_pb2.PermissionDefinition]:
    """List the permissions of the contract, in its order."""
    values = permission_pb2.Permission.DESCRIPTOR.values
    return [_option(value, permission_pb2.permission) for value in values if value.number]  # type: ignore[misc]


def field_policy(field: FieldDescriptor) -> field_policy_pb2.FieldPolicy:
    """Return what the contract asks of a field; an empty policy when it asks nothing."""
    return cast("field_policy_pb2.FieldPolicy", _option(field, field_policy_pb2.field))


def oneof_required(oneof: OneofDescriptor) -> bool:
    """Tell whether one of the oneof's fields must be set."""
    return bool(_option(oneof, field_policy_pb2.oneof_required))


def method_policy(method: MethodDescriptor) -> method_policy_pb2.MethodPolicy:
    """Return what the contract asks of a method's caller."""
    return cast("method_policy_pb2.MethodPolicy", _option(method, method_policy_pb2.method))


def _option(descriptor: Any, extension: Any) -> object:
    return descriptor.GetOptions().Extensions[extension]


@dataclass(frozen=True, slots=True)
class MethodContract:
    """One method of the contract with its policy and the classes of its messages."""

    name: str
    path: str
    policy: method_policy_pb2.MethodPolicy
    request_class: type[Message]
    response_class: type[Message]
    # Whether the answer is a stream.
    streams: bool
    # Whether the requests are a stream; the first of them is the one that policies look at.
    streams_requests: bool = False

    @property
    def is_public(self) -> bool:
        """Whether clients may call it, so that it has a route at the edge."""
        return self.policy.audience in {method_policy_pb2.AUDIENCE_USER, method_policy_pb2.AUDIENCE_SUPERUSER}

    @property
    def request(self) -> Descriptor:
        """The description of the request's message."""
        return cast("Descriptor", self.request_class.DESCRIPTOR)


def methods_of(service: ServiceDescriptor) -> list[MethodContract]:
    """List the methods of a service; one without an audience is a mistake in the contract."""
    return [_method(service, method) for method in service.methods]


def _method(service: ServiceDescriptor, method: MethodDescriptor) -> MethodContract:
    policy = method_policy(method)
    if policy.audience == method_policy_pb2.AUDIENCE_UNSPECIFIED:
        raise ValueError(f"{method.full_name} has no audience")
    return MethodContract(
        name=method.name,
        path=f"/{service.full_name}/{method.name}",
        policy=policy,
        request_class=GetMessageClass(method.input_type),
        response_class=GetMessageClass(method.output_type),
        streams=bool(method.server_streaming),
        streams_requests=bool(method.client_streaming),
    )


def field_getter(message_class: type[Message], field: str) -> Callable[[Message], str]:
    """Return a function that reads a string field that a policy names.

    Raises a ValueError for one that is not there.
    """
    if field not in message_class.DESCRIPTOR.fields_by_name:
        raise ValueError(f"{message_class.DESCRIPTOR.full_name} has no field {field}")

    def read(message: Message) -> str:
        return cast("str", getattr(message, field))

    return read
