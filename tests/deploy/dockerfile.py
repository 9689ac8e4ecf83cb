"""services/Dockerfile as a list of instructions."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "services" / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    @property
    def command(self) -> list[str]:
        """The words of an instruction in exec form, options before it left out."""
        words: list[str] = json.loads(self.text[self.text.index("[") :])
        return words


def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage, FROM first, with the defaults of the arguments before all stages."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    arguments, _, text = text.partition("FROM")
    text = f"FROM{text}"
    for name, default in re.findall(r"^ARG (\w+)=(\S+)$", arguments, re.MULTILINE):
        text = text.replace(f"FROM ${{{name}}}", f"FROM {default}")
    found: list[list[Instruction]] = []
    for line in text.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            if name == "FROM":
                found.append([])
            found[-1].append(Instruction(name, rest.strip()))
    return found


def final(name: str) -> Instruction:
    """Return the last stage's one instruction of a name."""
    (found,) = [instruction for instruction in stages()[-1] if instruction.name == name]
    return found
