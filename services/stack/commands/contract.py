"""`chatkit contract export`: the public contract as a folder that generators of clients need nothing beside."""

import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.rpc import status_pb2

from services.edge.public import descriptor_set
from services.edge.reference.openapi import document
from services.runtime.contract.policies import Limits
from services.stack.cli import ROOT
from services.stack.home import Home
from services.stack.own_folder import make_own_folder
from services.stack.terminal import printable
from services.stack.trouble import Trouble

_PROTOS = ROOT / "protos"
# google.rpc, as the distribution comes with it that has its Python.
_COMMON = Path(status_pb2.__file__).parents[2]
# What every generator comes with.
_WELL_KNOWN = "google/protobuf/"
_BUF = """\
# The contract of Chatkit {version}, as `./chatkit contract export` wrote it.
version: v2
lint:
  ignore:
    - google
    # Reasons are named as google.rpc.ErrorInfo spells them.
    - chatkit/contract/v1/error_reason.proto
"""


def run(_home: Home, arguments: argparse.Namespace) -> int:
    """Write the folder, and print the path of each file in it."""
    folder = Path(arguments.folder)
    make_own_folder(folder)
    try:
        _write(folder)
    except OSError as error:
        raise Trouble(f"{folder} can't be written: {error.strerror}") from None
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(printable(str(path)))
    return 0


def _write(folder: Path) -> None:
    contract = descriptor_set()
    for file in descriptor_pb2.FileDescriptorSet.FromString(contract).file:
        if not file.name.startswith(_WELL_KNOWN):
            _copy(_PROTOS if file.name.startswith("chatkit/") else _COMMON, file.name, folder)
    for path in sorted(_PROTOS.glob("buf.gen.*.yaml")):
        _copy(_PROTOS, path.name, folder)
    _copy(_PROTOS, "chatkit.service_config.json", folder)
    (folder / "descriptor.binpb").write_bytes(contract)
    described = json.dumps(document(Limits(), version("chatkit")), indent=2, ensure_ascii=False)
    (folder / "openapi.json").write_text(f"{described}\n", encoding="utf-8")
    (folder / "buf.yaml").write_text(_BUF.format(version=version("chatkit")), encoding="utf-8")


def _copy(source: Path, name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / name, folder / name)
