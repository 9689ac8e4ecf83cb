"""Every file of the contract can be compiled for any language, by anyone, from this folder alone."""

import re
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from tests.contract import descriptors

EXTENSION_NUMBERS = range(50700, 50800)
every_file = pytest.mark.parametrize("path", descriptors.proto_paths(), ids=lambda path: path.name)


@every_file
def test_a_file_names_its_packages_in_go_java_and_csharp(path: Path) -> None:
    package = path.parent.relative_to(descriptors.PROTOS).as_posix().replace("/", ".")
    parts = package.split(".")
    text = path.read_text()
    expected = {
        "package": package,
        "go_package": f"chatkit.example/gen/{'/'.join(parts)};{''.join(parts[-2:])}",
        "java_package": f"com.{package}",
        "java_multiple_files": "true",
        "csharp_namespace": ".".join(part.capitalize() for part in parts),
    }
    declared = dict(re.findall(r'^option (\w+) = "?([^";]+(?:;\w+)?)"?;$', text, re.MULTILINE))
    (declared["package"],) = re.findall(r"^package (\S+);$", text, re.MULTILINE)
    assert declared == expected


@every_file
def test_a_file_imports_only_protobufs_own_files_and_ours(path: Path) -> None:
    for imported in re.findall(r'^import (?:public )?"([^"]+)";$', path.read_text(), re.MULTILINE):
        assert imported.startswith(("google/protobuf/", "chatkit/"))


def test_public_files_import_nothing_internal() -> None:
    for path in descriptors.proto_paths():
        if "internal" not in path.parts:
            assert "chatkit/internal/" not in path.read_text(), path


def test_the_contracts_options_keep_to_their_numbers_and_share_none() -> None:
    extensions = [extension for file in descriptors.files() for extension in file.extensions_by_name.values()]
    numbers = [extension.number for extension in extensions]
    assert extensions
    assert all(number in EXTENSION_NUMBERS for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert all(extension.full_name.startswith("chatkit.contract.v1.") for extension in extensions)


def test_enums_start_with_a_value_that_means_nothing() -> None:
    for file in descriptors.files():
        for enum in file.enum_types_by_name.values():
            assert enum.values[0].number == 0
            assert enum.values[0].name.endswith("_UNSPECIFIED"), enum.full_name


def test_a_file_holds_one_service_at_the_most_and_no_resource_beside_it() -> None:
    for file in descriptors.files():
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        assert len(proto.service) <= 1, file.name
        if proto.service and ".internal." not in file.package:
            # The first piece of a message's name is its RPC's; resources have files of their own.
            for message in proto.message_type:
                assert message.name.endswith(("Request", "Response")), message.name
