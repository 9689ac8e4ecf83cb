"""`chatkit contract export`: a folder that generators of clients need nothing beside."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from services.stack.cli import main
from tests.polyglot.contract import PROTOC, ROOT

_BUF = Path(sys.executable).parent / "buf"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Export the contract into a folder of its own."""
    return _export(tmp_path / "new" / "contract")


def _export(folder: Path) -> Path:
    assert main(["contract", "export", str(folder), "--home", str(folder.parent / "home")]) == 0
    return folder


def _sources(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.proto"))


def _run(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_the_public_contract_and_what_errors_are_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = _export(tmp_path / "contract")
    sources = _sources(exported)
    protos = ROOT / "protos"
    public = [name for name in _sources(protos) if not name.startswith("chatkit/internal/")]
    assert sources == [*public, "google/rpc/error_details.proto", "google/rpc/status.proto"]
    assert all((exported / name).read_bytes() == (protos / name).read_bytes() for name in public)
    languages = ("csharp", "go", "java", "kotlin", "python", "swift", "typescript")
    templates = {f"buf.gen.{language}.yaml" for language in languages}
    others = {*templates, "buf.yaml", "chatkit.service_config.json", "descriptor.binpb", "openapi.json"}
    found = {path for path in exported.rglob("*") if path.is_file()}
    assert {path.name for path in found if path.suffix != ".proto"} == others
    assert {Path(line) for line in capsys.readouterr().out.splitlines()} == found


def test_protoc_makes_clients_of_it_and_is_told_of_no_other_folder(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    outputs = (f"--python_out={out}", f"--grpc_python_out={out}")
    _run(exported, sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *_sources(exported))
    assert (out / "chatkit/messages/v1/messages_service_pb2_grpc.py").is_file()
    assert (out / "google/rpc/error_details_pb2.py").is_file()
    _run(exported, PROTOC, "-I.", f"--java_out={out}", *_sources(exported))
    assert (out / "com/google/rpc/ErrorInfo.java").is_file()


def test_protoc_makes_clients_of_the_descriptor_set_alone_with_the_comments(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    service = "chatkit/messages/v1/messages_service.proto"
    given = ("--descriptor_set_in=descriptor.binpb", f"--grpc_python_out={out}", service)
    _run(exported, sys.executable, "-m", "grpc_tools.protoc", *given)
    made = (out / service.replace(".proto", "_pb2_grpc.py")).read_text()
    assert "MessagesService keeps one ordered log per room." in made


def test_buf_builds_and_lints_it(exported: Path, tmp_path: Path) -> None:
    built = tmp_path / "built.binpb"
    _run(exported, _BUF, "build", "--exclude-source-info", "--output", built)
    names = {file.name for file in descriptor_pb2.FileDescriptorSet.FromString(built.read_bytes()).file}
    assert set(_sources(exported)) <= names
    _run(exported, _BUF, "lint")
