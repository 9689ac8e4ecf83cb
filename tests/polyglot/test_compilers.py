"""The generated code compiles, together with a small client in each language; a client with a mistake does not."""

import json
import os
import shutil
from pathlib import Path

from tests.polyglot.contract import Contract
from tests.polyglot.projects import go_project, java_project
from tests.polyglot.tools import HERE, generate, node_modules, run, succeed

_CLIENTS = HERE / "clients"
_TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "module": "nodenext",
        "moduleResolution": "nodenext",
        "types": [],
    },
    "include": ["gen", "client.ts"],
}


def _typescript_project(contract: Contract, folder: Path) -> list[str | Path]:
    """Lay out a project in a folder, and return the command that checks it."""
    modules = node_modules()
    out = generate(contract, folder / "out", ["protoc-gen-es"], protoc_gen_es=modules / ".bin" / "protoc-gen-es")
    (folder / "gen").symlink_to(out / "typescript")
    (folder / "node_modules").symlink_to(modules)
    shutil.copy(HERE / "package.json", folder)
    shutil.copy(_CLIENTS / "client.ts", folder)
    (folder / "tsconfig.json").write_text(json.dumps(_TSCONFIG))
    return [modules / ".bin" / "tsc", "--project", folder]


def test_typescript_type_checks_strictly(contract: Contract, tmp_path: Path) -> None:
    check = _typescript_project(contract, tmp_path)
    succeed(check, tmp_path)
    client = tmp_path / "client.ts"
    client.write_text(client.read_text().replace('roomId: "lobby"', "roomId: 7"))
    refused = run(check, tmp_path)
    assert refused.returncode != 0
    assert "client.ts" in refused.stdout


def test_go_compiles(contract: Contract, tmp_path: Path) -> None:
    project = go_project(contract, tmp_path)
    client = project.folder / "client.go"
    shutil.copy(_CLIENTS / "client.go", client)
    compiled = project.build(os.devnull)
    assert compiled.returncode == 0, compiled.stderr
    client.write_text(client.read_text().replace('UserId: "bob"', "UserId: 7"))
    refused = project.build(os.devnull)
    assert refused.returncode != 0
    assert "client.go" in refused.stderr


def test_java_compiles(contract: Contract, tmp_path: Path) -> None:
    project = java_project(contract, tmp_path)
    compiled = project.compile(_CLIENTS / "Client.java")
    assert compiled.returncode == 0, compiled.stderr
    wrong = tmp_path / "Client.java"
    wrong.write_text((_CLIENTS / "Client.java").read_text().replace('setUserId("bob")', "setUserId(7)"))
    refused = project.compile(wrong)
    assert refused.returncode != 0
    assert "Client.java" in refused.stderr
