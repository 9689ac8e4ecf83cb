"""The quickstarts, each as its language runs it: what it prints is told line by line."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from chatkit_client import connect
from protos import node
from tests.clients.typescript.tools import FOLDER, built, run
from tests.contract.descriptors import ROOT
from tests.polyglot.contract import Contract
from tests.polyglot.projects import go_project, java_project
from tests.polyglot.tools import tool
from tests.support.edge import Edge
from tests.support.envoys import kill_envoy, start_again
from tests.support.eventually import eventually
from tests.support.tokens import token

HERE = Path(__file__).parent
QUICKSTARTS = ROOT / "clients" / "quickstarts"
TOKEN_SERVERS = ROOT / "clients" / "token_servers"


async def command(language: str, folder: Path) -> list[str | Path]:
    """Return what runs the quickstart of a language, but for its arguments, or skip the test."""
    match language:
        case "python":
            return sys_python(QUICKSTARTS / "lobby.py")
        case "node":
            await install_client(folder)
            return [node.NODE, shutil.copy(QUICKSTARTS / "lobby.mjs", folder)]
        case "react":
            return await _react(folder)
        case "curl":
            tool("jq")
            return ["sh", QUICKSTARTS / "lobby.sh"]
        case "go":
            return [await asyncio.to_thread(_go, folder)]
        case _:
            return await asyncio.to_thread(_java, folder)


async def _react(folder: Path) -> list[str | Path]:
    await install_client(folder, "react", "react-test-renderer")
    rendered = folder / "Lobby.js"
    esbuild = await asyncio.to_thread(node.packages) / ".bin" / "esbuild"
    await run(esbuild, QUICKSTARTS / "Lobby.tsx", "--jsx=automatic", "--format=esm", f"--outfile={rendered}")
    return [node.NODE, shutil.copy(HERE / "clicking.mjs", folder)]


async def install_client(project: Path, *others: str) -> None:
    """Let programs of a folder import the TypeScript client, and other packages that it has, as after `npm install`."""
    package = project / "node_modules" / "chatkit-client"
    package.mkdir(parents=True)
    shutil.copy(FOLDER / "package.json", package)
    # Node looks for what the client imports from where its files really are.
    (package / "dist").symlink_to(await built() / "src")
    packages = await asyncio.to_thread(node.packages)
    for name in others:
        (project / "node_modules" / name).symlink_to(packages / name)


def sys_python(program: Path) -> list[str | Path]:
    """Return what runs a program in Python, with every warning."""
    return [sys.executable, "-X", "dev", program]


def _go(folder: Path) -> Path:
    project = go_project(Contract.copy(folder / "protos"), folder)
    shutil.copy(QUICKSTARTS / "lobby.go", project.folder)
    done = project.build(folder / "program")
    assert done.returncode == 0, done.stderr
    return folder / "program"


def _java(folder: Path) -> list[str | Path]:
    project = java_project(Contract.copy(folder / "protos"), folder, runs=True)
    done = project.compile(QUICKSTARTS / "Lobby.java")
    assert done.returncode == 0, done.stderr
    return [tool("java"), "-cp", project.path, "Lobby"]


class Shown:
    """The lines that a program has shown so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.has_ended = False

    async def becomes(self, *lines: str) -> None:
        """Return once it has shown these lines, and no others; fails when the program ends before."""
        await eventually(lambda: len(self.lines) >= len(lines) or self.has_ended)
        assert self.lines == list(lines)


@dataclass
class Program:
    """A program that runs, and what it has printed."""

    process: asyncio.subprocess.Process
    shown: Shown

    def listens(self) -> set[str]:
        """Return the addresses on which it listens."""
        connections = psutil.Process(self.process.pid).net_connections()
        return {f"{one.laddr.ip}:{one.laddr.port}" for one in connections if one.status == psutil.CONN_LISTEN}

    async def read(self) -> None:
        """Read what it prints, to its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.shown.lines.append(line.decode().rstrip("\n"))
        self.shown.has_ended = True


@asynccontextmanager
async def running(*command: str | Path, **environment: str) -> AsyncIterator[Program]:
    """Run a program until it was left."""
    process = await asyncio.create_subprocess_exec(
        *(os.fspath(part) for part in command),
        env={**node.environment(), **environment},
        stdout=subprocess.PIPE,
        # What a shell has started ends with it.
        start_new_session=True,
    )
    program = Program(process, Shown())
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await reading


async def say(edge: Edge, text: str) -> None:
    """Send a message to the lobby as bob."""
    async with connect(edge.address, token("bob")) as bob:
        await bob.send("lobby", text)


async def goes_on(shown: Shown, edge: Edge) -> None:
    """Hold that a program shows each message once, also what it has missed while the edge was gone."""
    await shown.becomes("Hello")
    await kill_envoy(edge)
    await start_again(edge)
    await say(edge, "again")
    await shown.becomes("Hello", "again")
    await say(edge, "and again")
    await shown.becomes("Hello", "again", "and again")
