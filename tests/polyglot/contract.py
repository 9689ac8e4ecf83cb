"""A copy of protos/ without what is generated from it, and what protoc alone says of it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).parents[2]
PROTOC = Path(sys.executable).parent / "protoc"
_LANGUAGES = ("go_package", "java_package", "java_multiple_files", "csharp_namespace")


@dataclass(frozen=True)
class Contract:
    """A folder of protos."""

    folder: Path

    @classmethod
    def copy(cls, target: Path) -> "Contract":
        """Copy the .proto files and buf's two files, and nothing else."""
        shutil.copytree(ROOT / "protos", target, ignore=shutil.ignore_patterns("gen", "*.py", "*.binpb", "*.md"))
        return cls(target)

    @property
    def sources(self) -> list[str]:
        """The files of the contract, as protoc is told them."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.proto"))

    def protoc(self, *options: str, protoc: Path = PROTOC) -> "subprocess.CompletedProcess[str]":
        """Run protoc with this folder as the only one that it searches."""
        command = [str(protoc), f"--proto_path={self.folder}", *options, *self.sources]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def files(self) -> list[descriptor_pb2.FileDescriptorProto]:
        """Read the contract's own files, through protoc."""
        path = self.folder / "contract.binpb"
        done = self.protoc(f"--descriptor_set_out={path}")
        assert done.returncode == 0, done.stderr
        return list(descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file)


def faults(contract: Contract) -> list[str]:
    """List what keeps somebody who has this folder and protoc, and nothing else, from generating any language."""
    done = contract.protoc("--descriptor_set_out=/dev/null")
    if done.returncode:
        return done.stderr.splitlines()
    found = []
    for file in contract.files():
        set_options = {field.name for field, _ in file.options.ListFields()}
        found += [f"{file.name} has no {name}" for name in _LANGUAGES if name not in set_options]
        foreign = [name for name in file.dependency if not name.startswith(("chatkit/", "google/protobuf/"))]
        found += [f"{file.name} imports {name}" for name in foreign]
    return found
