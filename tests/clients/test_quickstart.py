"""The client's README is right: what it prints runs as it is, in an environment that has only the client."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.descriptors import ROOT
from tests.support.edge import Edge
from tests.support.tokens import token

_FOLDER = ROOT / "clients" / "python"
_PIP = ("-I", "-m", "pip", "--disable-pip-version-check", "--quiet")
_INSTALL_SECONDS, _RUN_SECONDS = 600, 240


def _quickstarts() -> list[str]:
    """Return the programs that the README prints."""
    return re.findall(r"^```python\n(.*?)^```$", (_FOLDER / "README.md").read_text(), re.DOTALL | re.MULTILINE)


async def _run(*command: str | Path, seconds: float = _RUN_SECONDS, cwd: Path | None = None) -> str:
    """Return what a command prints; fails with what it says when it fails."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd
    )
    async with asyncio.timeout(seconds):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.slow
async def test_the_quickstarts_run_as_printed_where_only_the_client_is(edge: Edge, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    await _run(sys.executable, "-m", "venv", venv)
    await _run(python, *_PIP, "install", _FOLDER, seconds=_INSTALL_SECONDS)
    frozen = await _run(python, *_PIP, "freeze")
    installed = {re.split(r"[=@ ]", line)[0] for line in frozen.splitlines()}
    needed = {"chatkit-client", "googleapis-common-protos", "grpcio", "protobuf"}
    assert installed - {"typing_extensions", "typing-extensions"} == needed
    packages = next(venv.glob("lib/python*/site-packages"))
    assert (packages / "chatkit_client" / "py.typed").exists()
    assert not {"chatkit", "services", "tests", "protos"} & {path.name for path in packages.iterdir()}

    programs = _quickstarts()
    assert len(programs) == 2
    for number, program in enumerate(programs):
        path = tmp_path / f"quickstart_{number}.py"
        path.write_text(program)
        printed = await _run(python, "-I", "-W", "always", path, edge.address, token("alice"))
        assert printed.splitlines() == ["lobby: alice, bob", "lobby, alice: Hello"]
        checked = await _run(
            *(sys.executable, "-I", "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir=/dev/null"),
            path,
            cwd=tmp_path,
            seconds=_INSTALL_SECONDS,
        )
        assert checked == "Success: no issues found in 1 source file\n"
