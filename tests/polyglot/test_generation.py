"""Every plugin of the languages' templates turns the whole contract into code, from a copy of the folder alone."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from services.stack.cli import main
from tests.polyglot.contract import Contract, faults
from tests.polyglot.tools import generate, name_of, node_modules, path_with, plugins, succeed, templates

_GO_MODULE = "chatkit.example/gen/"
Expect = Callable[[FileDescriptorProto], Iterator[str]]


def _go(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{_go_path(file)}.pb.go"


def _go_grpc(file: FileDescriptorProto) -> Iterator[str]:
    if file.service:
        yield f"{_go_path(file)}_grpc.pb.go"


def _go_path(file: FileDescriptorProto) -> str:
    folder = file.options.go_package.partition(";")[0].removeprefix(_GO_MODULE)
    return f"{folder}/{PurePosixPath(file.name).stem}"


def _java(file: FileDescriptorProto) -> Iterator[str]:
    folder = file.options.java_package.replace(".", "/")
    yield from (f"{folder}/{message.name}.java" for message in file.message_type)


def _java_grpc(file: FileDescriptorProto) -> Iterator[str]:
    folder = file.options.java_package.replace(".", "/")
    yield from (f"{folder}/{service.name}Grpc.java" for service in file.service)


def _typescript(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{file.name.removesuffix('.proto')}_pb.ts"


def _csharp(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{_csharp_path(file)}.cs"


def _csharp_grpc(file: FileDescriptorProto) -> Iterator[str]:
    if file.service:
        yield f"{_csharp_path(file)}Grpc.cs"


def _python(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{file.name.removesuffix('.proto')}_pb2.py"


def _python_types(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{file.name.removesuffix('.proto')}_pb2.pyi"


def _csharp_path(file: FileDescriptorProto) -> str:
    return f"{file.options.csharp_namespace.replace('.', '/')}/{_in_pascal_case(file)}"


def _in_pascal_case(file: FileDescriptorProto) -> str:
    return "".join(part.capitalize() for part in PurePosixPath(file.name).stem.split("_"))


def _kotlin(file: FileDescriptorProto) -> Iterator[str]:
    folder = file.options.java_package.replace(".", "/")
    yield from (f"{folder}/{message.name}Kt.kt" for message in file.message_type)


def _kotlin_grpc(file: FileDescriptorProto) -> Iterator[str]:
    if file.service:
        folder = file.options.java_package.replace(".", "/")
        yield f"{folder}/{_in_pascal_case(file)}GrpcKt.kt"


def _swift(file: FileDescriptorProto) -> Iterator[str]:
    yield f"{file.name.removesuffix('.proto')}.pb.swift"


def _swift_grpc(file: FileDescriptorProto) -> Iterator[str]:
    if file.service:
        yield f"{file.name.removesuffix('.proto')}.grpc.swift"


# What each plugin writes for a file of the contract, in the folder of its language.
_EXPECTED: dict[str, Expect] = {
    "protoc-gen-go": _go,
    "protoc-gen-go-grpc": _go_grpc,
    "java": _java,
    "protoc-gen-grpc-java": _java_grpc,
    "protoc-gen-es": _typescript,
    "python": _python,
    "pyi": _python_types,
    "kotlin": _kotlin,
    "protoc-gen-grpc-kotlin": _kotlin_grpc,
    "protoc-gen-swift": _swift,
    "protoc-gen-grpc-swift-2": _swift_grpc,
    "csharp": _csharp,
    "grpc_csharp_plugin": _csharp_grpc,
}


def _expected(files: Iterable[FileDescriptorProto], chosen: Iterable[dict[str, Any]]) -> list[str]:
    return [
        f"{plugin['out']}/{path}" for plugin in chosen for file in files for path in _EXPECTED[name_of(plugin)](file)
    ]


@pytest.mark.parametrize("plugin", sorted(_EXPECTED))
def test_a_plugin_writes_code_for_every_file_of_the_contract(contract: Contract, tmp_path: Path, plugin: str) -> None:
    commands = {"protoc_gen_es": node_modules() / ".bin" / plugin} if plugin == "protoc-gen-es" else {}
    out = generate(contract, tmp_path / "out", [plugin], **commands)
    expected = _expected(contract.files(), (one for one in plugins() if name_of(one) == plugin))
    assert expected
    assert not [path for path in expected if not (out / path).is_file()]
    assert all((out / path).stat().st_size for path in expected)


def test_every_language_is_generated() -> None:
    assert {plugin["out"] for plugin in plugins()} == set(templates())
    assert set(templates()) == {"csharp", "go", "java", "kotlin", "python", "swift", "typescript"}
    assert {name_of(plugin) for plugin in plugins()} == set(_EXPECTED)


@pytest.mark.parametrize("language", templates())
def test_the_command_that_a_template_prints_works_in_the_folder_that_is_exported(tmp_path: Path, language: str) -> None:
    folder, out = tmp_path / "contract", tmp_path / "out"
    assert main(["contract", "export", str(folder), "--home", str(tmp_path / "home")]) == 0
    (command,) = re.findall(r"^# +(buf generate .*)$", (folder / f"buf.gen.{language}.yaml").read_text(), re.MULTILINE)
    commands = {"protoc_gen_es": node_modules() / ".bin" / "protoc-gen-es"} if language == "typescript" else {}
    path = path_with(plugins(language), tmp_path / "tools", **commands)
    succeed(command.replace("DIR", str(out)).split(), folder, PATH=path)
    contract = descriptor_pb2.FileDescriptorSet.FromString((folder / "descriptor.binpb").read_bytes())
    public = [file for file in contract.file if file.name.startswith("chatkit/")]
    assert [path for path in _expected(public, plugins(language)) if not (out / path).is_file()] == []


@pytest.mark.parametrize("language", ["cpp", "csharp", "java", "kotlin", "objc", "php", "python", "ruby"])
def test_protoc_alone_generates_what_it_has_built_in(contract: Contract, tmp_path: Path, language: str) -> None:
    out = tmp_path / language
    out.mkdir()
    done = contract.protoc(f"--{language}_out={out}")
    assert done.returncode == 0, done.stderr
    assert len([path for path in out.rglob("*") if path.is_file()]) >= len(contract.sources)


def test_nothing_keeps_anyone_from_generating(contract: Contract) -> None:
    assert faults(contract) == []


@pytest.mark.parametrize("option", ["go_package", "java_package", "java_multiple_files", "csharp_namespace"])
def test_a_file_that_does_not_name_its_package_is_found(contract: Contract, option: str) -> None:
    path = contract.folder / "chatkit" / "users" / "v1" / "user.proto"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if f"option {option} " not in line))
    assert faults(contract) == [f"chatkit/users/v1/user.proto has no {option}"]


def test_an_import_that_does_not_come_with_the_folder_is_found(contract: Contract) -> None:
    path = contract.folder / "chatkit" / "users" / "v1" / "user.proto"
    foreign = 'import "google/rpc/status.proto";'
    path.write_text(path.read_text().replace("import ", f"{foreign}\nimport ", 1))
    assert "google/rpc/status.proto: File not found." in faults(contract)


def test_an_import_that_comes_with_protoc_and_is_not_ours_is_found(contract: Contract) -> None:
    (contract.folder / "other").mkdir()
    (contract.folder / "other" / "thing.proto").write_text('syntax = "proto3";\npackage other;\n')
    path = contract.folder / "chatkit" / "users" / "v1" / "user.proto"
    path.write_text(path.read_text().replace("import ", 'import "other/thing.proto";\nimport ', 1))
    assert "chatkit/users/v1/user.proto imports other/thing.proto" in faults(contract)
