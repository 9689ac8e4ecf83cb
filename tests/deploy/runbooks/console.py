"""The commands of a page and what they print: its fences of the kind `console`, one after the other, in one shell.

A line that begins with `$ ` is a command, with `> ` the rest of it; the others are what it prints. `…` stands for
anything within a line, and alone in a line for any lines. Words after `console` say how a fence is run:

| word | means |
| --- | --- |
| `up` | in the terminal of `up`, whose suite is ended first |
| `until` | the commands are repeated until they print that |
| anything else | only where a test asks for it by this word |
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.eventually import HANG_SECONDS

_FENCE = re.compile(r"^ *```console ?(.*)\n((?:.*\n)*?) *```$", re.MULTILINE)
_END = "the command has ended"
_ANY = "…"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, what it is to print, and how its fence says that it is run."""

    command: str
    printed: str
    kinds: frozenset[str]

    def fits(self, said: str) -> bool:
        """Tell whether something printed is what the page says."""
        lines = [".*" if line == _ANY else _pattern(line) for line in self.printed.splitlines()]
        return re.fullmatch("\n".join(lines), said.rstrip(), re.DOTALL) is not None


def _pattern(line: str) -> str:
    # Columns are as wide as what is in them.
    words = [re.escape(word).replace(re.escape(_ANY), r"[^\n]*") for word in line.split()]
    return r" *" + r" +".join(words) + r" *"


def steps(page: Path) -> Iterator[Step]:
    """Yield the commands of a page in their order."""
    for kinds, text in _FENCE.findall(page.read_text()):
        lines = [line.strip() for line in text.splitlines()]
        began = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        assert began[:1] == [0], f"{page.name} has a console that begins with no command"
        for first, end in zip(began, [*began[1:], len(lines)], strict=True):
            own = lines[first:end]
            more = next((number for number, line in enumerate(own) if line[:2] not in {"$ ", "> "}), len(own))
            command = "\n".join(line[2:] for line in own[:more])
            yield Step(command, "\n".join(own[more:]), frozenset(kinds.split()))


class Shell:
    """A shell in which commands are typed one after the other, so that its variables stay."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, folder: Path, environment: Mapping[str, str]) -> Self:
        """Start one in a folder."""
        return cls(
            await asyncio.create_subprocess_exec(
                *("bash", "--norc", "--noprofile"),
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=1 << 20,
            )
        )

    async def type(self, command: str) -> str:
        """Type a command, and return all that is printed until it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # What it reads is not what is typed after it.
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s\\n' '{_END}'\n".encode())
        async with asyncio.timeout(HANG_SECONDS):
            said = await self._process.stdout.readuntil(f"\n{_END}\n".encode())
        return said.decode().removesuffix(f"\n{_END}\n").rstrip("\n")

    async def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
