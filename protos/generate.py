"""Writes what is generated of the contract, byte for byte the same on every machine.

That is the Python in gen/, what the clients have of it, and the public part with its comments, which the edge shows.

`--check` compares instead of writing. `--land` records the contract as landed, which later ones must not break.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from protos import node, public_contract, python_client, typescript_client

PROTOS = Path(__file__).resolve().parent
GENERATED = PROTOS / "gen"
CLIENT = PROTOS.parent / "clients" / "python" / python_client.PACKAGE
TYPESCRIPT = node.TYPESCRIPT / "src"
# google/protobuf, as protoc comes with it.
WELL_KNOWN = Path(str(files("grpc_tools"))) / "_proto"
LANDED = PROTOS / "landed.binpb"
PUBLIC = PROTOS.parent / "services" / "edge" / "contract.binpb"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python protos/generate.py", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="compare with the contract, write nothing")
    action.add_argument(
        "--land", action="store_true", help="record the contract in landed.binpb, unless it breaks the last"
    )
    arguments = parser.parse_args()
    if arguments.land:
        return land()
    try:
        return compare_or_write(is_check=arguments.check)
    except node.InstallError as error:
        print(error)
        return 1


def compare_or_write(*, is_check: bool) -> int:
    """Generate all of it, and compare it with what is checked in, or replace that; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="chatkit-stubs-") as folder:
        stubs, client, typescript = (Path(folder) / name for name in ("gen", "client", "typescript"))
        public = Path(folder) / PUBLIC.name
        generate(stubs, client)
        typescript_client.write(typescript)
        public_contract.write(PROTOS, WELL_KNOWN, public)
        if is_check:
            written = ((stubs, GENERATED), (client, CLIENT), (typescript, TYPESCRIPT))
            return report([line for pair in written for line in drift(*pair)] + drift_of_file(public, PUBLIC))
        shutil.copyfile(public, PUBLIC)
        shutil.rmtree(GENERATED / "chatkit", ignore_errors=True)
        shutil.copytree(stubs / "chatkit", GENERATED / "chatkit")
        for fresh, checked_in in ((client, CLIENT), (typescript, TYPESCRIPT)):
            shutil.rmtree(checked_in / "proto", ignore_errors=True)
            shutil.copytree(fresh, checked_in, dirs_exist_ok=True)
    return 0


def generate(stubs: Path, client: Path) -> None:
    """Compile every proto of the contract into `stubs`, and write what the client has of it into `client`."""
    sources = sorted(path.relative_to(PROTOS).as_posix() for path in (PROTOS / "chatkit").rglob("*.proto"))
    descriptors = client / "contract.binpb"
    for folder in (stubs, client):
        folder.mkdir()
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={WELL_KNOWN}",
            f"--python_out={stubs}",
            f"--pyi_out={stubs}",
            f"--grpc_python_out={stubs}",
            f"--descriptor_set_out={descriptors}",
            "--include_imports",
            "--include_source_info",
            *sources,
        ]
    )
    if status:
        raise SystemExit(status)
    python_client.write(descriptors.read_bytes(), stubs, client)
    descriptors.unlink()


def drift(fresh: Path, checked_in: Path) -> list[str]:
    """List how generated code differs, a line per file; in `checked_in` there may be other code beside it."""
    expected, found = _contents(fresh), _contents(checked_in)
    shown = {name: checked_in.relative_to(PROTOS.parent) / name for name in expected | found}
    return [
        *(f"{shown[name]} is missing" for name in sorted(expected.keys() - found.keys())),
        *(
            f"{shown[name]} has no proto any more"
            for name in sorted(found.keys() - expected.keys())
            if "_pb" in Path(name).stem
        ),
        *(
            f"{shown[name]} is out of date"
            for name in sorted(expected.keys() & found.keys())
            if expected[name] != found[name]
        ),
    ]


def drift_of_file(fresh: Path, checked_in: Path) -> list[str]:
    """Say in a line that a generated file is missing or out of date."""
    if checked_in.exists() and fresh.read_bytes() == checked_in.read_bytes():
        return []
    return [f"{checked_in.relative_to(PROTOS.parent)} is {'out of date' if checked_in.exists() else 'missing'}"]


def report(differences: list[str]) -> int:
    """Print the differences and return the exit status that they mean."""
    for line in differences:
        print(line)
    if differences:
        print("Run: .venv/bin/python protos/generate.py")
    return 1 if differences else 0


def land() -> int:
    """Write landed.binpb; refused, with buf's reasons, when that would break clients of the last landed contract."""
    buf = Path(sys.executable).parent / "buf"
    if LANDED.exists():
        check = subprocess.run([buf, "breaking", "--against", LANDED], cwd=PROTOS, check=False)
        if check.returncode:
            return check.returncode
    return subprocess.run(
        [buf, "build", "--exclude-source-info", "--output", LANDED], cwd=PROTOS, check=False
    ).returncode


def _contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.suffix in {".py", ".pyi", ".ts"}
    }


if __name__ == "__main__":
    sys.exit(main())
