"""The public contract as a reader meets it: services with their methods, the messages beside them, and what is said."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import cast

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, ServiceDescriptor

from services.edge import public
from services.runtime.contract.policies import MethodContract, methods_of

Kind = Descriptor | EnumDescriptor
# Files that say what servers do with a call, and nothing that a call takes or answers.
_POLICIES = {"field_policy", "method_policy", "limit", "permission", "error_reason"}


@dataclass(frozen=True, slots=True)
class Method:
    """A method with its service."""

    service: ServiceDescriptor
    contract: MethodContract

    @property
    def name(self) -> str:
        """What it is called in its package, where no other method is called so."""
        return self.contract.name

    @property
    def full_name(self) -> str:
        """By which comments and examples know it."""
        return f"{self.service.full_name}.{self.name}"


class Comments:
    """What the contract says of each file's parts, by their full names; values of enums stand within their enum."""

    def __init__(self, descriptor_set: bytes) -> None:
        self._said: dict[str, str] = {}
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
            said = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
            self._said |= {f"{file.package}.{name}": said[path] for path, name in _parts(file) if said.get(path)}

    def paragraphs(self, full_name: str) -> list[str]:
        """Return what is said of it, each paragraph in one line."""
        said = re.split(r"\n\s*\n", self._said.get(full_name, ""))
        return [" ".join(paragraph.split()) for paragraph in said if paragraph.strip()]

    def line(self, full_name: str) -> str:
        """Return what is said of it in one line."""
        return " ".join(self.paragraphs(full_name))


_Part = tuple[tuple[int, ...], str]


def _parts(file: descriptor_pb2.FileDescriptorProto) -> Iterator[_Part]:
    """Yield the path of each part of a file, as source info has it, and its name in the package."""
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        yield from (((6, index, 2, at), f"{service.name}.{method.name}") for at, method in enumerate(service.method))
    for index, enum in enumerate(file.enum_type):
        yield from _of_enum((5, index), enum.name, enum)
    for index, message in enumerate(file.message_type):
        yield from _of_message((4, index), message.name, message)


def _of_message(path: tuple[int, ...], name: str, message: descriptor_pb2.DescriptorProto) -> Iterator[_Part]:
    yield path, name
    yield from (((*path, 2, at), f"{name}.{field.name}") for at, field in enumerate(message.field))
    for at, inner in enumerate(message.nested_type):
        yield from _of_message((*path, 3, at), f"{name}.{inner.name}", inner)
    for at, enum in enumerate(message.enum_type):
        yield from _of_enum((*path, 4, at), f"{name}.{enum.name}", enum)


def _of_enum(path: tuple[int, ...], name: str, enum: descriptor_pb2.EnumDescriptorProto) -> Iterator[_Part]:
    yield path, name
    yield from (((*path, 2, at), f"{name}.{value.name}") for at, value in enumerate(enum.value))


@cache
def methods() -> tuple[Method, ...]:
    """List every public method in the contract's order."""
    return tuple(Method(service, method) for _, service in public.services() for method in methods_of(service))


def files() -> list[FileDescriptor]:
    """List the files of what calls take and answer, those of services included, by name."""
    found: dict[str, FileDescriptor] = {}
    _add((service.file for _, service in public.services()), found)
    return [found[name] for name in sorted(found) if stem(found[name]) not in _POLICIES]


def _add(new: Iterable[FileDescriptor], found: dict[str, FileDescriptor]) -> None:
    for file in new:
        if file.name.startswith("chatkit/") and file.name not in found:
            found[file.name] = file
            _add(file.dependencies, found)


def stem(file: FileDescriptor) -> str:
    """Return the name of a file without its folder and ending."""
    return file.name.rpartition("/")[2].removesuffix(".proto")


def package(file: FileDescriptor) -> str:
    """Return the package's own name: users of chatkit.users.v1."""
    return str(file.package).split(".")[1]


def kinds(file: FileDescriptor) -> list[Kind]:
    """List the messages and enums of a file that are no method's request or answer."""
    of_methods = {kind.full_name for one in methods() for kind in (one.contract.request, answer_of(one))}
    every: list[Kind] = [*file.message_types_by_name.values(), *file.enum_types_by_name.values()]
    return [kind for kind in every if kind.full_name not in of_methods]


def answer_of(method: Method) -> Descriptor:
    """Return the message that a method answers with."""
    return cast("Descriptor", method.contract.response_class.DESCRIPTOR)


def kind_of(field: FieldDescriptor) -> Kind | None:
    """Return the message or the enum that a field holds, if it holds one; of a map it is its entry."""
    found: Kind | None = field.message_type or field.enum_type
    return found
