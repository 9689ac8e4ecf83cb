"""Whether the JSON of a call says only what its method takes: the transcoder drops what it does not know in silence.

A field that is spelt wrong would then be one that was left out, and leaving a field out may open or lose something. So
JSON is read here first, against the fields of the contract, and what is wrong is told with its field and its place.
What is right is left to the transcoder, and so is what only it can judge, such as the bytes of UTF-8.

It is also read no further than it can be right: what the limits let nobody send would cost the transcoder and a service
a hundred times what it costs a client. What is a little too much is left to the service, whose answer names the limit.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from services.edge import public
from services.edge.rendering.parts import Json, typed
from services.edge.rendering.screening import FAULT_HEADER, JSON
from services.runtime.contract.errors import HTTP_STATUS_KEY
from services.runtime.contract.policies import Limits, MethodContract, field_policy

JSON_FILTER = "envoy.filters.http.lua.json"
# The headers by which the script tells the mapping of refusals what it has found; no client sees them.
FIELD_HEADER, PLACE_HEADER = "x-chatkit-field", "x-chatkit-place"
_LUA_FILTER = "filters.http.lua.v3.Lua"
# What the transcoder takes, and what may lie in one another: lists and objects together.
_MOST_NESTED = 90
_MOST_CHARS = 120
# How many times its limit a list may have in items.
_ITEMS_FACTOR = 2
# The script's words for what a value is; what is not here can be anything, and the transcoder knows its form.
_KINDS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "text",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "text",
}
_ANY = "any"
_JSON_KINDS = {"google.protobuf.Struct": "free", "google.protobuf.Value": "is_any"}
_SCRIPT = Path(__file__).with_name("json_fields.lua").read_text()


def json_filter(limits: Limits) -> Json:
    """Return the filter, which goes before the transcoder and behind what counts JSON."""
    script = _SCRIPT
    for name, value in {
        "kinds": "\n".join(_kinds(limits)),
        "requests": "\n".join(f'  ["{method.path}"] = {_the(method.request)},' for method in _methods()),
        "grpc_only": ", ".join(f'["{path}"] = true' for path in _in_streams_both_ways()),
        "fault_header": FAULT_HEADER,
        "fault": JSON,
        "most_nested": str(_MOST_NESTED),
        "most_chars": str(_MOST_CHARS),
        "field_header": FIELD_HEADER,
        "status_header": HTTP_STATUS_KEY,
        "place_header": PLACE_HEADER,
    }.items():
        script = script.replace(f"@{name}@", value)
    return typed(
        JSON_FILTER, "filters.http.lua.v3.Lua", default_source_code={"inline_string": script}, clear_route_cache=False
    )


def _methods() -> Iterator[MethodContract]:
    # The frames of an upload come one by one.
    return (method for _, method in public.methods() if not method.streams_requests)


def _in_streams_both_ways() -> Iterator[str]:
    # The transcoder would take an array, whose items it knows how to read and this script does not.
    yield from (method.path for _, method in public.methods() if method.streams_requests and method.streams)
    yield from public.REFLECTION_PATHS


def _kinds(limits: Limits) -> Iterator[str]:
    """Yield the enums and messages that requests are made of, as the script declares them."""
    found: dict[str, Descriptor | EnumDescriptor] = {}
    for method in _methods():
        _collect(method.request, found)
    for name in sorted(found):
        match found[name]:
            case EnumDescriptor() as enum:
                words = [name, *(value.name for value in enum.values)]
                yield f"enum({', '.join(map(json.dumps, words))})"
            case message:
                fields = ", ".join(f"{field.name} = {_values(field, limits)}" for field in message.fields)
                yield f'message("{name}", {{{fields}}}, {{{_groups(message)}}})'


def _groups(message: Descriptor) -> str:
    """Return the fields of which there may be one, as lists; one that may be left out is a group to itself."""
    groups = ([f'"{field.name}"' for field in group.fields] for group in message.oneofs if len(group.fields) > 1)
    return ", ".join(f"{{{', '.join(names)}}}" for names in groups)


def _collect(kind: Descriptor | EnumDescriptor, found: dict[str, Descriptor | EnumDescriptor]) -> None:
    if kind.full_name in found or kind.full_name.startswith("google."):
        return
    found[kind.full_name] = kind
    if isinstance(kind, Descriptor):
        for field in kind.fields:
            if (inner := field.message_type or field.enum_type) is not None:
                _collect(inner, found)


def _values(field: FieldDescriptor, limits: Limits) -> str:
    if not field.is_repeated:
        return _value(field, limits)
    most = field_policy(field).max_items
    bound = f", most_items = {_ITEMS_FACTOR * limits[most]}" if most else ""
    return f"{{item = {_value(field, limits)}{bound}}}"


def _value(field: FieldDescriptor, limits: Limits) -> str:
    kind = field.message_type or field.enum_type
    if kind is None:
        return _KINDS.get(field.type, _ANY)
    if kind.full_name in _JSON_KINDS:
        most = field_policy(field).max_json_bytes
        # A value takes two bytes at the least.
        bound = f", values = {limits[most]}" if most else ""
        return f"{{{_JSON_KINDS[kind.full_name]} = true{bound}}}"
    if kind.full_name.startswith("google.") and f'written("{kind.full_name}"' not in _SCRIPT:
        raise TypeError(f"json_fields.lua must say how {kind.full_name} is written in JSON")
    return _the(kind)


def _the(kind: Descriptor | EnumDescriptor) -> str:
    return f'the("{kind.full_name}")'
