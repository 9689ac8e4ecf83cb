"""The generated code compiles, together with a small client in each language; a client with a mistake does not."""

import json
import os
import shutil
from pathlib import Path

from tests.polyglot.contract import Contract
from tests.polyglot.tools import HERE, generate, go_cache, needed_file, node_modules, run, succeed, tool

_CLIENTS = HERE / "clients"
# Newer JDKs have no such annotation, which the code for gRPC carries; who builds with Maven gets it from there.
_GENERATED = "package javax.annotation; public @interface Generated { String value(); String comments(); }"
# javac is done before optimising itself would pay.
_QUICK = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
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
    go = tool("go")
    sources = needed_file(
        "/usr/share/gocode/src/google.golang.org/grpc", "golang-google-grpc-dev golang-google-genproto-dev"
    ).parents[2]
    out = generate(contract, tmp_path / "out", ["protoc-gen-go", "protoc-gen-go-grpc"])
    module = tmp_path / "src" / "chatkit.example"
    shutil.copytree(out / "go", module / "gen")
    client = module / "client" / "client.go"
    client.parent.mkdir()
    shutil.copy(_CLIENTS / "client.go", client)
    # Debian's packages are sources for a GOPATH; with modules nothing would come from this machine alone.
    environment = {
        "GO111MODULE": "off",
        "GOPATH": os.pathsep.join([str(tmp_path), str(sources)]),
        "GOCACHE": str(go_cache()),
        "GOFLAGS": "",
    }
    build: list[str | Path] = [go, "build", "-o", os.devnull, "./..."]
    succeed([go, "build", "./..."], module, **environment)
    client.write_text(client.read_text().replace('UserId: "bob"', "UserId: 7"))
    refused = run(build, module, **environment)
    assert refused.returncode != 0
    assert "client.go" in refused.stderr


def test_java_compiles(contract: Contract, tmp_path: Path) -> None:
    javac = tool("javac")
    plugin = tool("protoc-gen-grpc-java")
    # Code and library must be of one version, and no package has the library for the newest: hence Debian's pair.
    protoc = needed_file("/usr/bin/protoc", "protobuf-compiler")
    jars = [
        needed_file(f"/usr/share/java/{name}.jar", package)
        for name, package in {
            "protobuf": "libprotobuf-java",
            "grpc-api": "libgrpc-java",
            "grpc-stub": "libgrpc-java",
            "grpc-protobuf": "libgrpc-java",
            "guava": "libguava-java",
        }.items()
    ]
    generated, classes = tmp_path / "generated", tmp_path / "classes"
    (generated / "javax" / "annotation").mkdir(parents=True)
    (generated / "javax" / "annotation" / "Generated.java").write_text(_GENERATED)
    done = contract.protoc(
        f"--java_out={generated}",
        f"--plugin=protoc-gen-grpc-java={plugin}",
        f"--grpc-java_out={generated}",
        protoc=protoc,
    )
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join(map(str, jars))
    compile_: list[str | Path] = [javac, *_QUICK, "-nowarn", "-proc:none", "-d", classes, "-cp", path]
    succeed([*compile_, _CLIENTS / "Client.java", *generated.rglob("*.java")], tmp_path)
    wrong = tmp_path / "Client.java"
    wrong.write_text((_CLIENTS / "Client.java").read_text().replace('setUserId("bob")', "setUserId(7)"))
    refused = run([*compile_[:-1], os.pathsep.join([path, str(classes)]), wrong], tmp_path)
    assert refused.returncode != 0
    assert "Client.java" in refused.stderr
