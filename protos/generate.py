"""Writes the Python of the contract: gen/ from the .proto files, byte for byte the same on every machine.

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

PROTOS = Path(__file__).resolve().parent
GENERATED = PROTOS / "gen"
LANDED = PROTOS / "landed.binpb"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python protos/generate.py", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="compare gen/ with the contract, write nothing")
    action.add_argument(
        "--land", action="store_true", help="record the contract in landed.binpb, unless it breaks the last"
    )
    arguments = parser.parse_args()
    if arguments.land:
        return land()
    with tempfile.TemporaryDirectory(prefix="chatkit-stubs-") as folder:
        generate(Path(folder))
        if arguments.check:
            return report(drift(Path(folder), GENERATED))
        shutil.rmtree(GENERATED / "chatkit", ignore_errors=True)
        shutil.copytree(Path(folder) / "chatkit", GENERATED / "chatkit")
    return 0


def generate(target: Path) -> None:
    """Compile every proto of the contract into `target`."""
    sources = sorted(path.relative_to(PROTOS).as_posix() for path in (PROTOS / "chatkit").rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={well_known}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            *sources,
        ]
    )
    if status:
        raise SystemExit(status)


def drift(fresh: Path, checked_in: Path) -> list[str]:
    """List how two trees of generated code differ, a line per file."""
    expected, found = _contents(fresh), _contents(checked_in)
    return [
        *(f"{name} is missing" for name in sorted(expected.keys() - found.keys())),
        *(f"{name} has no proto any more" for name in sorted(found.keys() - expected.keys())),
        *(f"{name} is out of date" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]),
    ]


def report(differences: list[str]) -> int:
    """Print the differences and return the exit status that they mean."""
    for line in differences:
        print(f"protos/gen/{line}")
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
        for path in root.rglob("*.py*")
        if "__pycache__" not in path.parts
    }


if __name__ == "__main__":
    sys.exit(main())
