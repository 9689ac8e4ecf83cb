"""OpenAPI 3.1 of the calls in JSON: a path for each method, the messages as schemas, and the shape of errors.

Fields are named as JSON has them. Answers may have more fields in a later release, so no schema forbids any.
"""

from collections.abc import Iterator
from typing import Any

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.rpc import error_details_pb2

from services.edge import public
from services.edge.reference import words
from services.edge.reference.contract import Comments, Kind, Method, answer_of, kind_of, methods
from services.runtime.contract.policies import Limits, field_policy

Json = dict[str, Any]

_ERROR = "google.rpc.Status"
_SCALARS: dict[int, Json] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
}
_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}
# What errors carry beside code and message.
_DETAILS: tuple[Any, ...] = (
    error_details_pb2.ErrorInfo.DESCRIPTOR,
    error_details_pb2.BadRequest.DESCRIPTOR,
    error_details_pb2.QuotaFailure.DESCRIPTOR,
    error_details_pb2.RetryInfo.DESCRIPTOR,
)


def document(limits: Limits, version: str) -> Json:
    """Return the whole document, with the limits in force."""
    return _Document(limits).write(version)


class _Document:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._comments = Comments(public.descriptor_set())
        self._schemas: dict[str, Json] = {}

    def write(self, version: str) -> Json:
        paths = {method.contract.path: {"post": self._operation(method)} for method in _in_json()}
        self._schemas[_ERROR] = self._error()
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Chatkit",
                "version": version,
                "description": "The calls in JSON. Those whose requests are a stream are made by gRPC.",
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "tags": [
                {"name": service.name, "description": self._comments.line(service.full_name)}
                for _, service in public.services()
            ],
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
                "schemas": dict(sorted(self._schemas.items())),
                "responses": {
                    "error": {
                        "description": "Why the call was refused; clients branch on the reason.",
                        "content": {"application/json": {"schema": _reference(_ERROR)}},
                    }
                },
            },
        }

    def _operation(self, method: Method) -> Json:
        request = self._described(method.contract.request)
        facts = words.facts(method, self._limits)
        told = [f"- {name}: {said}" for name, said in facts.items() if name not in {"path", "kind"}]
        reasons = ", ".join(words.own_reasons(method, self._comments))
        return {
            "operationId": f"{method.service.name}_{method.name}",
            "tags": [method.service.name],
            "description": "\n\n".join(
                [
                    *self._comments.paragraphs(method.full_name),
                    "\n".join(told),
                    *([f"Errors: {reasons}"] if reasons else []),
                ]
            ),
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
            "responses": {"200": self._answer(method), "default": {"$ref": "#/components/responses/error"}},
        }

    def _answer(self, method: Method) -> Json:
        schema = self._described(answer_of(method))
        if not method.contract.streams:
            return {"description": "The answer.", "content": {"application/json": {"schema": schema}}}
        data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
        return {
            "description": "Server-Sent Events: the data of each is one answer.",
            "content": {"text/event-stream": {"schema": data}},
        }

    def _described(self, kind: Kind) -> Json:
        """Return a reference to a schema, which is there then with all that it refers to."""
        if kind.full_name not in self._schemas:
            # First, because messages may hold one another.
            schema = self._schemas[kind.full_name] = {}
            schema.update(self._enum(kind) if isinstance(kind, EnumDescriptor) else self._message(kind))
        return _reference(kind.full_name)

    def _enum(self, kind: EnumDescriptor) -> Json:
        names = [value.name for value in kind.values]
        return {"type": "string", **self._said(kind.full_name), "enum": names}

    def _message(self, message: Descriptor) -> Json:
        properties = {field.json_name: self._field(field) for field in message.fields}
        required = [field.json_name for field in message.fields if words.is_required(field)]
        schema: Json = {"type": "object", **self._said(message.full_name), "properties": properties}
        return {**schema, "required": required} if required else schema

    def _field(self, field: FieldDescriptor) -> Json:
        policy, said = field_policy(field), self._said(field.full_name)
        one = {**self._value(field), **self._bounds(policy, field)}
        if not field.is_repeated or _is_map(field):
            return {**one, **said}
        most = {"maxItems": self._limits[policy.max_items]} if policy.max_items else {}
        return {"type": "array", **said, "items": one, **most}

    def _value(self, field: FieldDescriptor) -> Json:
        """Return the schema of what a field holds; of a list, of each of its items."""
        kind = kind_of(field)
        if kind is None:
            return dict(_SCALARS[field.type])
        if isinstance(kind, Descriptor) and kind.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._value(kind.fields_by_name["value"])}
        return dict(_WELL_KNOWN[kind.full_name]) if kind.full_name in _WELL_KNOWN else self._described(kind)

    def _bounds(self, policy: field_policy_pb2.FieldPolicy, field: FieldDescriptor) -> Json:
        bounds: Json = {}
        if policy.max_chars:
            bounds["maxLength"] = self._limits[policy.max_chars]
        if policy.max_value and field.type == FieldDescriptor.TYPE_INT32:
            bounds |= {"minimum": 0, "maximum": self._limits[policy.max_value]}
        if policy.HasField("page_size"):
            bounds |= {"minimum": 0, "default": self._limits[policy.page_size.default_size]}
        return bounds

    def _said(self, full_name: str) -> Json:
        said = self._comments.line(full_name)
        return {"description": said} if said else {}

    def _error(self) -> Json:
        details = [self._detail(kind) for kind in _DETAILS]
        return {
            "type": "object",
            "description": "google.rpc.Status.",
            "properties": {
                "code": {"type": "integer", "description": "The number of gRPC's code."},
                "message": {"type": "string", "description": "Words for developers, which may change."},
                "details": {"type": "array", "items": {"anyOf": details}},
            },
            "required": ["code", "message", "details"],
        }

    def _detail(self, kind: Descriptor) -> Json:
        named = {"properties": {"@type": {"const": f"type.googleapis.com/{kind.full_name}"}}, "required": ["@type"]}
        return {"allOf": [self._described(kind), named]}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _in_json() -> Iterator[Method]:
    return (method for method in methods() if not method.contract.streams_requests)
