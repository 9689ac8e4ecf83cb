"""Compilers and plugins that a machine may have or not: what is absent skips its test and says how to get it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.polyglot.contract import ROOT, Contract

HERE = Path(__file__).parent
# Kept from run to run, and removed with the environment that made it.
_KEPT = Path(sys.prefix) / "polyglot"
_DEBIAN = "Debian has it: apt-get install --no-install-recommends"
_WHERE = {
    "protoc-gen-go": f"{_DEBIAN} protoc-gen-go-1-5 golang-google-protobuf-dev",
    "protoc-gen-go-grpc": f"{_DEBIAN} protoc-gen-go-grpc golang-google-grpc-dev golang-google-genproto-dev",
    "protoc-gen-grpc-java": f"{_DEBIAN} protobuf-compiler-grpc-java-plugin libgrpc-java",
    "protoc-gen-grpc-kotlin": "no package of Debian, PyPI or npm has it; Maven's io.grpc:protoc-gen-grpc-kotlin does",
    "protoc-gen-swift": "Homebrew has it: brew install swift-protobuf",
    "protoc-gen-grpc-swift-2": "Homebrew has it: brew install protoc-gen-grpc-swift",
    "grpc_csharp_plugin": "no package of Debian, PyPI or npm has it; NuGet's Grpc.Tools does",
    "go": f"{_DEBIAN} golang-go",
    "javac": f"{_DEBIAN} default-jdk-headless",
    "java": f"{_DEBIAN} default-jre-headless",
    "jq": f"{_DEBIAN} jq",
    "npm": f"{_DEBIAN} nodejs npm",
}
# Debian's name of a plugin that the rest of the world calls differently.
_OTHER_NAMES = {"protoc-gen-grpc-java": "grpc_java_plugin"}
_INSTALL_SECONDS = 60


def tool(name: str) -> Path:
    """Return the path of a tool of this machine, or skip the test."""
    found = shutil.which(name) or shutil.which(_OTHER_NAMES.get(name, name))
    if found is None:
        pytest.skip(f"{name} is not installed; {_WHERE[name]}")
    return Path(found)


def needed_file(path: str, package: str) -> Path:
    """Return a file or folder that a Debian package brings, or skip the test."""
    if not Path(path).exists():
        pytest.skip(f"{path} is not there; {_DEBIAN} {package}")
    return Path(path)


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return what it said."""
    environ = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def succeed(command: Sequence[str | Path], folder: Path, **environment: str) -> None:
    """Run a command that must succeed."""
    done = run(command, folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr


def templates() -> dict[str, Path]:
    """Return the template of each language, buf.gen.<language>.yaml."""
    return {path.name.split(".")[2]: path for path in sorted((ROOT / "protos").glob("buf.gen.*.yaml"))}


def plugins(*languages: str) -> list[dict[str, Any]]:
    """List the plugins of some languages' templates, or of all of them."""
    read = [
        yaml.safe_load(path.read_text()) for name, path in templates().items() if name in languages or not languages
    ]
    return [plugin for template in read for plugin in template["plugins"]]


def name_of(plugin: dict[str, Any]) -> str:
    """Return what a plugin is called, whether protoc has it built in or not."""
    return str(plugin.get("local") or plugin["protoc_builtin"])


def generate(contract: Contract, target: Path, names: Iterable[str], **commands: Path) -> Path:
    """Run `buf generate` with the checked-in template and some of its plugins; `commands` are tools found elsewhere."""
    chosen = [plugin for plugin in plugins() if name_of(plugin) in set(names)]
    path = path_with(chosen, target / "tools", **commands)
    template = target / "template.yaml"
    template.write_text(yaml.safe_dump({"version": "v2", "plugins": chosen}))
    succeed(["buf", "generate", contract.folder, f"--template={template}", f"--output={target}"], target, PATH=path)
    return target


def path_with(chosen: Iterable[dict[str, Any]], tools: Path, **commands: Path) -> str:
    """Return a PATH with buf and these plugins, which are put into the folder `tools`; skip the test without one."""
    tools.mkdir(parents=True)
    for name in {name_of(plugin) for plugin in chosen if "local" in plugin}:
        (tools / name).symlink_to(commands.get(name.replace("-", "_")) or tool(name))
    return os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])


def node_modules() -> Path:
    """Return a folder with the packages of package.json, installed once; skip the test where that can't be done."""
    npm = tool("npm")
    folder, trouble = _installed(npm)
    if trouble:
        pytest.skip(f"npm could not install what {HERE.name}/package.json names: {trouble}")
    return folder / "node_modules"


@cache
def _installed(npm: Path) -> tuple[Path, str]:
    wanted = (HERE / "package.json").read_bytes()
    kept = _KEPT / f"node-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if kept.exists():
        return kept, ""
    _KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT) as draft:
        folder = Path(draft) / "node"
        folder.mkdir()
        (folder / "package.json").write_bytes(wanted)
        trouble = _install(npm, folder)
        if not trouble:
            # Another run may have been faster.
            with suppress(OSError):
                folder.rename(kept)
    return kept, trouble


def _install(npm: Path, folder: Path) -> str:
    """Install a folder's package.json and return what went wrong."""
    # No lock file: it would record where the packages came from, which is everyone's own affair.
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    command = [str(npm), "install", *options, *patience]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_INSTALL_SECONDS} s"
    return (done.stderr.strip() or f"status {done.returncode}").splitlines()[0] if done.returncode else ""


def go_cache() -> Path:
    """Return the folder where Go keeps what it has compiled."""
    return _KEPT / "go-build"
