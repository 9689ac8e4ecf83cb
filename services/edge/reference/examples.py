"""The example of a method in each language: what a reader pastes, and what a test runs.

A language is a function from a method and its request to a text, or to None where the method can't be called so.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.edge.reference.contract import Method, files, stem
from services.edge.reference.requests import REQUESTS, Json

_ADDRESS = "127.0.0.1:8080"
# What the Python client takes as Python has it.
_WIDTH = 120
# An expression: what stands before its brackets, what is in them, and what ends them; or one that is never broken.
Code: TypeAlias = "str | tuple[str, list[Code], str]"
_PLAIN = {"google.protobuf.Struct", "google.protobuf.Value"}


def request_of(method: Method) -> Json:
    """Return the request of a method's examples, in JSON. Raises a KeyError where there is none."""
    return REQUESTS[method.full_name]


def curl(method: Method) -> str | None:
    """Return a call in JSON, for a shell; a stream is shown as it comes."""
    if method.contract.streams_requests:
        return None
    options = "-sN" if method.contract.streams else "-s"
    return (
        f"curl {options} http://{_ADDRESS}{method.contract.path} \\\n"
        f"  -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\\n"
        f"  -d '{_json(request_of(method))}'\n"
    )


def grpcurl(method: Method) -> str:
    """Return a call of grpcurl, which asks the edge what the method is."""
    name = method.contract.path.removeprefix("/")
    return (
        f'grpcurl -plaintext -H "authorization: Bearer $TOKEN" \\\n'
        f"  -d '{_json(request_of(method))}' \\\n"
        f"  {_ADDRESS} {name}\n"
    )


def python(method: Method) -> str:
    """Return a call of the Python client, which `client` is: `async with connect(address, token) as client`."""
    special = _SPECIAL.get(method.full_name)
    if special is not None:
        return special
    request = json_format.ParseDict(request_of(method), method.contract.request_class())
    name = _snake(method.name)
    function = f"client.{stem(method.service.file).removesuffix('_service')}.{name}("
    call = (function, _arguments(request), ")")
    if method.contract.streams:
        return "\n".join([*laid_out(call, "async for answer in ", ":"), "    print(answer)\n"])
    return "\n".join([*laid_out(call, "answer = await "), "print(answer)\n"])


def typescript(method: Method) -> str:
    """Return a call of the TypeScript client, which `client` is."""
    special = _SPECIAL_TYPESCRIPT.get(method.full_name)
    if special is not None:
        return special
    request = json_format.ParseDict(request_of(method), method.contract.request_class())
    service = _camel(stem(method.service.file).removesuffix("_service"))
    function = f"client.{service}.{method.name[0].lower()}{method.name[1:]}("
    fields = _properties(request)
    call = (f"{function}{{ ", fields, " })") if fields else f"{function}{{}})"
    if method.contract.streams:
        return "\n".join([*laid_out(call, "for await (const answer of ", ") {"), "    console.log(answer);", "}\n"])
    return "\n".join([*laid_out(call, "const answer = await ", ";"), "console.log(answer);\n"])


LANGUAGES: Mapping[str, tuple[str, Callable[[Method], str | None]]] = {
    "curl": ("sh", curl),
    "grpcurl": ("sh", grpcurl),
    "Python": ("python", python),
    "TypeScript": ("typescript", typescript),
}
# Calls whose requests are a stream, which the client makes for its callers.
_SPECIAL = {
    "chatkit.messages.v1.MessagesService.SendMessages": (
        'part = types.Part(content_type="text/plain", content="Hello")\n'
        'request = types.SendMessageRequest(room_id="lobby", parts=[part], request_id="hello-3")\n'
        "async for sent in client.send_many([request]):\n    print(sent)\n"
    ),
    "chatkit.files.v1.FilesService.UploadFile": (
        'answer = await client.upload("lobby", b"Hello", name="note.txt", content_type="text/plain")\nprint(answer)\n'
    ),
}
_SPECIAL_TYPESCRIPT = {
    "chatkit.messages.v1.MessagesService.SendMessages": (
        "// Over gRPC: browsers send no streams.\n"
        "async function* requests() {\n"
        '    const part = { contentType: "text/plain", value: { case: "content", value: "Hello" } } as const;\n'
        '    yield { requests: [{ roomId: "lobby", parts: [part], requestId: "hello-3" }] };\n'
        "}\n"
        "for await (const answer of client.messages.sendMessages(requests())) {\n    console.log(answer);\n}\n"
    ),
    "chatkit.files.v1.FilesService.UploadFile": (
        'const content = new Blob(["Hello"], { type: "text/plain" });\n'
        'const answer = await client.upload("lobby", content, { name: "note.txt" });\nconsole.log(answer);\n'
    ),
}


def _json(request: Json) -> str:
    return json.dumps(request, ensure_ascii=False)


def laid_out(code: Code, before: str = "", after: str = "", indent: int = 0) -> list[str]:
    """Return the lines of an expression as formatters lay it out: on one, or what is in its brackets on its own."""
    line = f"{' ' * indent}{before}{_flat(code)}{after}"
    if len(line) <= _WIDTH or isinstance(code, str):
        return [line]
    head, inner, end = code
    body = f"{' ' * (indent + 4)}{', '.join(map(_flat, inner))}"
    comma = "," if len(inner) > 1 else ""
    lines = [body] if len(body) <= _WIDTH else [line for one in inner for line in laid_out(one, "", comma, indent + 4)]
    return [f"{' ' * indent}{before}{head.rstrip()}", *lines, f"{' ' * indent}{end.lstrip()}{after}"]


def _flat(code: Code) -> str:
    return code if isinstance(code, str) else f"{code[0]}{', '.join(map(_flat, code[1]))}{code[2]}"


def _arguments(message: Message) -> list[Code]:
    return [_named(f"{field.name}=", _value(field, value)) for field, value in message.ListFields()]


def _named(name: str, code: Code) -> Code:
    return name + code if isinstance(code, str) else (name + code[0], code[1], code[2])


def _value(field: FieldDescriptor, value: Any) -> Code:
    if field.is_repeated:
        return "[", [_one(field, item) for item in value], "]"
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Code:
    if field.enum_type is not None:
        return json.dumps(field.enum_type.values_by_number[value].name)
    if field.message_type is None:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    if field.message_type.full_name in _PLAIN:
        return repr(json_format.MessageToDict(value))
    return f"{_type(field.message_type.name)}(", _arguments(value), ")"


def _properties(message: Message) -> list[Code]:
    """Return a message's fields as the properties of an object; one of several stands with its name."""
    return [_property(field, value) for field, value in message.ListFields()]


def _property(field: FieldDescriptor, value: Any) -> Code:
    told = _in_typescript(field, value)
    name, choice = _camel(field.name), field.containing_oneof
    # An optional field is alone in a choice that has no name of its own.
    if choice is None or choice.name == f"_{field.name}":
        return _named(f"{name}: ", told)
    return f"{_camel(choice.name)}: {{ ", [f'case: "{name}"', _named("value: ", told)], " }"


def _in_typescript(field: FieldDescriptor, value: Any) -> Code:
    if field.is_repeated:
        return "[", [_item(field, item) for item in value], "]"
    return _item(field, value)


def _item(field: FieldDescriptor, value: Any) -> Code:
    if field.enum_type is not None:
        name = field.enum_type.values_by_number[value].name
        return f"{_type(field.enum_type.name)}.{name.removeprefix(_prefix(field.enum_type.name))}"
    if field.message_type is None:
        is_long = field.cpp_type in {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
        return f"{value}n" if is_long else json.dumps(value, ensure_ascii=False)
    if field.message_type.full_name in _PLAIN:
        return _json(json_format.MessageToDict(value))
    fields = _properties(value)
    return ("{ ", fields, " }") if fields else "{}"


def _prefix(enum: str) -> str:
    """Return what all values of an enum begin with, which TypeScript leaves out."""
    return f"{_snake(enum).upper()}_"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _type(name: str) -> str:
    """Return where the client has a message; what two packages call alike is in none of its short names."""
    if _uses()[name] != 1:
        raise ValueError(f"chatkit_client.types has no {name}")
    return f"types.{name}"


@cache
def _uses() -> Counter[str]:
    return Counter(name for file in files() for name in (*file.message_types_by_name, *file.enum_types_by_name))
