"""How messages and endings of streams are said in words, for every command that shows them."""

from chatkit_client import ConnectionState
from chatkit_client.types import Part
from services.stack.terminal import size


def part_text(part: Part) -> str:
    """Return what a part of a message says, as others wrote it; of a file its name and size."""
    if part.HasField("file_id"):
        return f"[file {part.file.name or part.file_id}, {size(part.file.size_bytes)}]"
    return part.content or part.url


def reason_of(state: ConnectionState) -> str:
    """Return why a connection is as it is; empty where nothing is known."""
    return (state.why.reason or state.why.code.name) if state.why is not None else ""
