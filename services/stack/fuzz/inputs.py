"""What is sent, and what came back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# Stands in a header where the caller's token comes in, which nobody knows before it is signed.
TOKEN = b"{token}"
# Places that are no service: the edge, and where files takes and gives content.
EDGE, CONTENT = "edge", "files-http"
Head = tuple[tuple[bytes, bytes], ...]


class Face(StrEnum):
    """By which way an input reaches the suite."""

    GRPC = "gRPC"
    WEB = "gRPC-Web"
    JSON = "JSON"
    SERVICES = "services"
    FILES = "files"
    PAGES = "pages"

    @property
    def is_http2(self) -> bool:
        """Whether it is spoken in frames."""
        return self in {Face.GRPC, Face.SERVICES}


@dataclass(frozen=True, slots=True)
class Input:
    """One call, or what looks like one."""

    seed: int
    number: int
    face: Face
    # Whose address it goes to: the edge's, or that of a process.
    place: str
    # The method, or the path.
    what: str
    # In which way it was made.
    how: str
    # Who calls: see making/callers.py.
    caller: str
    # With `:method` and `:path`; nothing where the body is all that is written.
    head: Head
    body: bytes
    # Whether an answer goes on until somebody ends it.
    is_stream: bool = False
    # Whether what was begun is also ended; nobody owes an answer to what isn't.
    is_ended: bool = True
    # Whether it is HTTP: who sends what is none may be hung up on.
    is_http: bool = True
    # Whether the call says itself how long it may take, so that it may be too late.
    is_hurried: bool = False

    @property
    def repeat(self) -> str:
        """The command that sends it again."""
        return f"./chatkit fuzz --seed {self.seed} --only {self.number}"


class End(StrEnum):
    """How an exchange ended."""

    ANSWERED = "answered"
    # A stream that has begun, which was left then.
    LEFT = "left"
    # Of an input that was not ended: nothing came, and nothing had to.
    DROPPED = "dropped"
    RESET = "reset"
    CLOSED = "closed without an answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    end: End
    status: int = 0
    # Trailers too; of several with one name the last.
    head: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
