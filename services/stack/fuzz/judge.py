"""What an answer must be: there, and with a reason of the contract that goes with its code."""

from dataclasses import dataclass
from enum import StrEnum

from chatkit.contract.v1 import error_reason_pb2

from services.runtime.contract.errors import class_of
from services.stack.fuzz.answers import OK, Told, told_by
from services.stack.fuzz.inputs import EDGE, Answer, End, Face, Input

_REASONS = frozenset(error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name)
_OUR_FAULT = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
# What is answered before anybody looks at what is asked for.
_OUTSIDE = {"INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", ""}
# Nothing was taken away from the suite, so whatever it needs is there.
_ABSENT = {"SERVICE_UNAVAILABLE", "DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN", "SHUTTING_DOWN", "FILE_STORE_UNAVAILABLE"}
# What gRPC, and what listens for HTTP, say themselves to who can't be a client of theirs: at the ports of services, for
# the edge gives it a reason.
_SAYINGS = (
    "Error parsing",
    "Failed parsing",
    "Compression bit set",
    "Metadata keys",
    "Illegal header",
    "SERVER: Received message larger than max",
    "Invalid HTTP request received.",
)
# They wait for the other services for a few seconds only, and go on by themselves: services/runtime/erasure.
_DELETIONS = ("/DeleteUser", "/DeleteRoom")
_LATE = "DEADLINE_EXCEEDED"
_SERVER_ERROR = 500
# Beyond these Envoy stops reading headers, and resets what was begun: services/edge/README.md.
_MOST_HEADER_BYTES, _MOST_HEADERS = 32_768, 1_000


class Rule(StrEnum):
    """What holds whatever is sent."""

    ENDED = "no process ends"
    FAILED = "nothing is answered with INTERNAL or UNKNOWN"
    UNEXPLAINED = "every error has its reason"
    CUT = "who sends HTTP is answered"
    HANGING = "an answer comes in time"
    ABSENT = "what the suite needs is there"
    LOGGED = "no traceback is logged"
    KEPT = "what was taken is given back"
    NEIGHBOUR = "others are served meanwhile"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer is counted, whether the input got past the outer checks, and which rule it breaks."""

    code: str
    is_let_in: bool
    broken: Rule | None = None
    what: str = ""


def judged(sent: Input, answer: Answer) -> Verdict:
    """Judge an answer."""
    told = told_by(sent.face, answer)
    if answer.end in {End.LEFT, End.DROPPED} and not told.code.strip(OK):
        return Verdict(answer.end, answer.end is End.LEFT)
    is_told = "grpc-status" in answer.head or told.code not in {"", OK}
    if answer.end in {End.RESET, End.CLOSED} and not is_told:
        if _may_be_cut(sent):
            return Verdict(answer.end, is_let_in=False)
        return Verdict(answer.end, False, Rule.CUT, f"{answer.end} (HTTP {answer.status})")
    is_let_in = told.code not in _OUTSIDE and told.reason != "REQUEST_TOO_LARGE"
    broken = None if _is_right(sent, told) else _broken(sent, answer, told)
    return Verdict(told.code or "none", is_let_in, broken, f"{told.code} {told.reason}: {told.message}")


def _is_right(sent: Input, told: Told) -> bool:
    """Tell whether an answer needs no reason: it is no error, has no body, or is of what listens itself."""
    is_said_by_grpc = told.message.startswith(_SAYINGS) or not sent.is_http
    is_of_listener = not told.reason and sent.place != EDGE and is_said_by_grpc
    return told.code == OK or _is_head(sent) or is_of_listener


def _broken(sent: Input, answer: Answer, told: Told) -> Rule | None:
    if told.code in _OUR_FAULT or (answer.status >= _SERVER_ERROR and told.reason not in _REASONS):
        return Rule.FAILED
    if told.reason in _ABSENT:
        is_waiting = told.reason == "SERVICE_UNAVAILABLE" and sent.what.endswith(_DELETIONS)
        return None if is_waiting else Rule.ABSENT
    if told.code == _LATE:
        return None if sent.is_hurried else Rule.HANGING
    if told.reason not in _REASONS or class_of(told.reason).code.name != told.code:
        return Rule.UNEXPLAINED
    return None


def _is_head(sent: Input) -> bool:
    return (b":method", b"HEAD") in sent.head and sent.face in {Face.FILES, Face.PAGES}


def _may_be_cut(sent: Input) -> bool:
    if sent.face is Face.SERVICES and sent.how == "headers":
        return True
    size = sum(len(name) + len(value) for name, value in sent.head)
    return not sent.is_http or not sent.is_ended or size > _MOST_HEADER_BYTES or len(sent.head) > _MOST_HEADERS
