"""The public part of the contract as one file: what clients see, with its comments, which generated code does not keep.

The edge serves it, answers reflection from it, and writes the API reference of it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf import descriptor_pb2
from google.rpc import status_pb2
from grpc_tools import protoc

_INTERNAL = "chatkit/internal/"
_OURS = "chatkit/"
# What the details of errors are made of, which no file of the contract imports.
_ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
_COMMON = Path(status_pb2.__file__).parents[2]


def write(protos: Path, well_known: Path, target: Path) -> None:
    """Write the public files of `protos` to `target`, and what they import before them."""
    with TemporaryDirectory(prefix="chatkit-contract-") as folder:
        whole = Path(folder) / "whole.binpb"
        paths = [f"--proto_path={path}" for path in (protos, well_known, _COMMON)]
        options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={whole}"]
        status = protoc.main(["protoc", *paths, *options, *_names(protos), *_ERRORS])
        if status:
            raise SystemExit(status)
        contract = descriptor_pb2.FileDescriptorSet.FromString(whole.read_bytes())
    for file in contract.file:
        _keep_comments(file)
    target.write_bytes(contract.SerializeToString(deterministic=True))


def _names(protos: Path) -> list[str]:
    names = (path.relative_to(protos).as_posix() for path in (protos / _OURS).rglob("*.proto"))
    return sorted(name for name in names if not name.startswith(_INTERNAL))


def _keep_comments(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Leave of where things stand only what says something of them: nine tenths do not."""
    if not file.name.startswith(_OURS):
        file.ClearField("source_code_info")
        return
    places = file.source_code_info.location
    said = [place for place in places if place.leading_comments or place.trailing_comments]
    del file.source_code_info.location[:]
    file.source_code_info.location.extend(said)
