"""The reference in Markdown: a page for each method, each service and each file of messages, and one of the reasons."""

from collections.abc import Iterable, Iterator

from chatkit.contract.v1 import error_reason_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, ServiceDescriptor
from google.rpc import code_pb2

from services.edge import public
from services.edge.reference import words
from services.edge.reference.contract import Comments, Kind, Method, answer_of, files, kind_of, kinds, methods, package
from services.edge.reference.contract import stem as stem_of
from services.edge.reference.examples import LANGUAGES
from services.runtime.contract.policies import Limits, error_definition

_FRONT = "README.md"
_REASONS = "errors.md"
_NOTE = (
    "Written from the contract by `python -m services.edge reference docs/api`; edits are lost, and a test compares."
)
_INTRO = """\
Every method that clients may call. {note}

The examples are of a suite that `./chatkit up` runs, and of a small world: alice, an admin, is in the room `lobby` with
bob. The first lines are the same for all:

```sh
TOKEN=$(./chatkit token --user alice)    # for methods of superusers: ./chatkit token --su
```

```python
async with connect("127.0.0.1:8080", token) as client:  # from chatkit_client import connect, types
    ...
```

```typescript
import {{ connect }} from "chatkit-client/node"; // in a page: from "chatkit-client"
import * as types from "chatkit-client/types";

const client = connect("http://127.0.0.1:8080", token);
```

[errors.md](errors.md) has the reasons of errors, [limits.md](../limits.md) the limits, and [clients.md](../clients.md)
what holds for all calls. Numbers are the defaults: `./chatkit limits` shows those in force.
"""


class Pages:
    """Writes the pages, by their paths below the reference's folder."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._comments = Comments(public.descriptor_set())

    def write(self) -> dict[str, str]:
        """Return the text of every page. Raises a KeyError for a method without an example."""
        made = {_FRONT: self._front(), _REASONS: self._reasons()}
        made |= {_page_of(method): self._method(method) for method in methods()}
        made |= {_page_of_service(service): self._service(service) for _, service in public.services()}
        others = (file for file in files() if not file.services_by_name)
        made |= {_page_of_file(file): self._file(file) for file in others}
        return {path: "\n".join(lines) + "\n" for path, lines in made.items()}

    def _front(self) -> list[str]:
        lines = ["# API reference", "", *_INTRO.format(note=_NOTE).splitlines(), "", "| service | what it does |"]
        lines.append("| --- | --- |")
        for _, service in public.services():
            said = _first(self._comments.line(service.full_name))
            lines.append(f"| [{service.name}]({_page_of_service(service)}) | {_cell(said)} |")
        lines += ["", "| messages of | in |", "| --- | --- |"]
        named = [(file, [kind.name for kind in kinds(file)]) for file in files() if not file.services_by_name]
        lines += [f"| {', '.join(names)} | [{_page_of_file(file)}]({_page_of_file(file)}) |" for file, names in named]
        return lines

    def _reasons(self) -> list[str]:
        lines = ["# Reasons of errors", "", *self._comments.paragraphs("chatkit.contract.v1.ErrorReason"), ""]
        lines += ["| reason | code | when |", "| --- | --- | --- |"]
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values:
            if value.number and not value.name.startswith("ERROR_REASON_"):
                code = code_pb2.Code.Name(code_pb2.Code.ValueType(error_definition(value).code))
                said = self._comments.line(f"chatkit.contract.v1.ErrorReason.{value.name}")
                lines.append(f"| {value.name} | {code} | {_cell(said)} |")
        return lines

    def _service(self, service: ServiceDescriptor) -> list[str]:
        page = _page_of_service(service)
        lines = [f"# {service.name}", "", *_spaced(self._comments.paragraphs(service.full_name))]
        lines += ["| method | what it does |", "| --- | --- |"]
        for method in (one for one in methods() if one.service is service):
            said = _first(self._comments.line(method.full_name))
            lines.append(f"| [{method.name}]({_link(page, _page_of(method))}) | {_cell(said)} |")
        return [*lines, *self._kinds(page, kinds(service.file))]

    def _file(self, file: FileDescriptor) -> list[str]:
        return [f"# {file.package}: {stem_of(file)}", *self._kinds(_page_of_file(file), kinds(file))]

    def _kinds(self, page: str, shown: Iterable[Kind]) -> Iterator[str]:
        for kind in shown:
            yield from ["", f"## {kind.name}", "", *_spaced(self._comments.paragraphs(kind.full_name))]
            if isinstance(kind, Descriptor):
                yield from self._fields(page, kind)
                continue
            yield from ["| value | what it is |", "| --- | --- |"]
            said = ((value.name, self._comments.line(f"{kind.full_name}.{value.name}")) for value in kind.values)
            yield from (f"| `{name}` | {_cell(text)} |" for name, text in said)

    def _method(self, method: Method) -> list[str]:
        page = _page_of(method)
        service = f"[{method.service.name}]({_link(page, _page_of_service(method.service))})"
        lines = [f"# {method.name}", "", *_spaced(self._comments.paragraphs(method.full_name))]
        lines += [f"| {service} | {method.name} |", "| --- | --- |"]
        lines += [f"| {name} | {_cell(text)} |" for name, text in words.facts(method, self._limits).items()]
        lines += ["", "## Request", "", *self._fields(page, method.contract.request)]
        lines += ["", "## Answer", "", *self._fields(page, answer_of(method))]
        lines += ["", "## Errors", "", f"Beside those of [every call]({_link(page, _REASONS)}):", ""]
        own = words.own_reasons(method, self._comments)
        lines += [f"- {reason}" for reason in own] or ["- none"]
        lines += ["", "## Examples"]
        for language, (mark, show) in LANGUAGES.items():
            if (text := show(method)) is not None:
                lines += ["", f"{language}:", "", f"```{mark}", text.rstrip("\n"), "```"]
        return lines

    def _fields(self, page: str, message: Descriptor) -> list[str]:
        if not message.fields:
            return ["No fields."]
        lines = ["| field | type | what it is | bounds |", "| --- | --- | --- | --- |"]
        for field in message.fields:
            said = self._comments.line(field.full_name)
            bounds = words.bounds(field, self._limits)
            lines.append(f"| `{field.name}` | {_type(page, field)} | {_cell(said)} | {_cell(bounds)} |")
        return lines


def _type(page: str, field: FieldDescriptor) -> str:
    kind = kind_of(field)
    if isinstance(kind, Descriptor) and kind.GetOptions().map_entry:
        key, value = kind.fields
        return f"map of {_type(page, key)} to {_type(page, value)}"
    if kind is None:
        name = _SCALARS[field.type]
    elif kind.full_name.startswith("google."):
        name = f"`{kind.full_name}`"
    else:
        name = f"[{kind.name}]({_link(page, _place_of(kind))})"
    return f"list of {name}" if field.is_repeated else name


_SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
}


def _place_of(kind: Kind) -> str:
    """Return where a message or an enum is described."""
    for method in methods():
        if kind is method.contract.request or kind is answer_of(method):
            return _page_of(method)
    if kind.name == "ErrorReason":
        return _REASONS
    file = kind.file
    services = list(file.services_by_name.values())
    return f"{_page_of_service(services[0]) if services else _page_of_file(file)}#{kind.name.lower()}"


def _page_of(method: Method) -> str:
    return f"{package(method.service.file)}/{method.name}.md"


def _page_of_service(service: ServiceDescriptor) -> str:
    return f"{package(service.file)}/{service.name}.md"


def _page_of_file(file: FileDescriptor) -> str:
    return f"{package(file)}/{stem_of(file)}.md"


def _link(page: str, target: str) -> str:
    """Return how a page leads to another one: all are in folders side by side, but for the front page's."""
    folder, _, name = target.rpartition("/")
    if page.rpartition("/")[0] == folder:
        return name
    return f"../{target}"


def _spaced(paragraphs: Iterable[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from (paragraph, "")


def _first(text: str) -> str:
    return f"{text.partition('. ')[0].rstrip('.')}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
