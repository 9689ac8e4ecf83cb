"""The whole contract as descriptors, found by its files, so that no list here can be forgotten."""

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor, ServiceDescriptor

from services.runtime.contract.policies import MethodContract, methods_of, permissions

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
WELL_KNOWN = "google.protobuf."


def proto_paths() -> list[Path]:
    """List the contract's files."""
    return sorted((PROTOS / "chatkit").rglob("*.proto"))


@cache
def files() -> tuple[FileDescriptor, ...]:
    """Load the generated code of every file."""
    names = [path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".") + "_pb2" for path in proto_paths()]
    return tuple(importlib.import_module(name).DESCRIPTOR for name in names)


def services() -> list[ServiceDescriptor]:
    """List every service."""
    return [service for file in files() for service in file.services_by_name.values()]


def methods() -> list[MethodContract]:
    """List every method with its policy."""
    return [method for service in services() for method in methods_of(service)]


def request_fields() -> Iterator[FieldDescriptor]:
    """Yield every field that a request can carry, those of the messages inside it included."""
    seen: set[str] = set()
    waiting: list[Any] = [method.request_class.DESCRIPTOR for method in methods()]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            yield field
            if field.message_type is not None and not field.message_type.full_name.startswith(WELL_KNOWN):
                waiting.append(field.message_type)


def room_permissions() -> set[str]:
    """Return the permissions that roles of one room may have."""
    return {permission.name for permission in permissions() if permission.in_rooms}
