"""Programs in Go and Java beside the code that is generated for them, built with what Debian's packages bring."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.polyglot.contract import Contract
from tests.polyglot.tools import HERE, generate, go_cache, needed_file, run, tool

# Newer JDKs have no such annotation, which the code for gRPC carries; who builds with Maven gets it from there.
_GENERATED = "package javax.annotation; public @interface Generated { String value(); String comments(); }"
# javac is done before optimising itself would pay.
_QUICK = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
_TO_COMPILE = {
    "protobuf": "libprotobuf-java",
    "grpc-api": "libgrpc-java",
    "grpc-stub": "libgrpc-java",
    "grpc-protobuf": "libgrpc-java",
    "guava": "libguava-java",
}
_TO_RUN = {
    "grpc-context": "libgrpc-java",
    "grpc-core": "libgrpc-java",
    "grpc-netty": "libgrpc-java",
    "grpc-protobuf-lite": "libgrpc-java",
    **{
        f"netty-{part}": "libnetty-java"
        for part in ("buffer", "codec", "codec-http", "codec-http2", "common", "handler", "resolver", "transport")
    },
    "perfmark-api": "libperfmark-java",
    "perfmark-impl": "libperfmark-java",
}


@dataclass(frozen=True)
class GoProject:
    """A folder for a program's sources, beside the generated code."""

    folder: Path
    environment: dict[str, str]

    def build(self, target: str | Path) -> "subprocess.CompletedProcess[str]":
        """Compile what is in the folder, and return what the compiler said."""
        return run([tool("go"), "build", "-o", target, "."], self.folder, **self.environment)


def go_project(contract: Contract, folder: Path) -> GoProject:
    """Generate the code for Go, or skip the test where something is missing."""
    tool("go")
    sources = needed_file(
        "/usr/share/gocode/src/google.golang.org/grpc", "golang-google-grpc-dev golang-google-genproto-dev"
    ).parents[2]
    out = generate(contract, folder / "out", ["protoc-gen-go", "protoc-gen-go-grpc"])
    module = folder / "src" / "chatkit.example"
    shutil.copytree(out / "go", module / "gen")
    (module / "client").mkdir()
    shutil.copy(HERE / "clients" / "codec.go", module / "client")
    # Debian's packages are sources for a GOPATH; with modules nothing would come from this machine alone.
    environment = {
        "GO111MODULE": "off",
        "GOPATH": os.pathsep.join([str(folder), str(sources)]),
        "GOCACHE": str(go_cache()),
        "GOFLAGS": "",
    }
    return GoProject(module / "client", environment)


@dataclass(frozen=True)
class JavaProject:
    """The classes of the generated code, and what they and programs need."""

    classes: Path
    libraries: tuple[Path, ...]

    @property
    def path(self) -> str:
        """The class path."""
        return os.pathsep.join(map(str, (self.classes, *self.libraries)))

    def compile(self, *sources: Path) -> "subprocess.CompletedProcess[str]":
        """Compile sources into the project's classes, and return what the compiler said."""
        options = ("-nowarn", "-proc:none", "-d", self.classes, "-cp", self.path)
        return run([tool("javac"), *_QUICK, *options, *sources], self.classes)


def java_project(contract: Contract, folder: Path, *, runs: bool = False) -> JavaProject:
    """Generate the code for Java and compile it, or skip the test where something is missing.

    With `runs` it has what a program needs that is run, too.
    """
    tool("javac")
    plugin = tool("protoc-gen-grpc-java")
    # Code and library must be of one version, and no package has the library for the newest: hence Debian's pair.
    protoc = needed_file("/usr/bin/protoc", "protobuf-compiler")
    needed = {**_TO_COMPILE, **(_TO_RUN if runs else {})}
    jars = tuple(needed_file(f"/usr/share/java/{name}.jar", package) for name, package in needed.items())
    generated, classes = folder / "generated", folder / "classes"
    classes.mkdir()
    (generated / "javax" / "annotation").mkdir(parents=True)
    (generated / "javax" / "annotation" / "Generated.java").write_text(_GENERATED)
    done = contract.protoc(
        f"--java_out={generated}",
        f"--plugin=protoc-gen-grpc-java={plugin}",
        f"--grpc-java_out={generated}",
        protoc=protoc,
    )
    assert done.returncode == 0, done.stderr
    project = JavaProject(classes, jars)
    compiled = project.compile(*generated.rglob("*.java"))
    assert compiled.returncode == 0, compiled.stderr
    return project
