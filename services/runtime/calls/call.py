"""One call: what gRPC tells the handlers of it, what they tell the servicer, and on whose behalf it is made."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Never, Protocol

import grpc

from services.runtime.access.port import AccessGrant, AccessQuery, RoomGrant
from services.runtime.contract.errors import InvalidArgument, PermissionDenied, Violation
from services.runtime.deadline import Deadline
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.streaming.open_streams import Goodbye, OpenStream


class Context(Protocol):
    """The part of grpc.aio's context that handlers use."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Return the request's metadata."""

    def time_remaining(self) -> float | None:
        """Return the seconds that the caller still waits."""

    async def read(self) -> object:
        """Return the next request, or grpc.aio.EOF."""

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> Never:
        """End the call."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a servicer knows of a call beside its request."""

    caller: Caller
    # On whose behalf the call is made; None only for superusers without a subject, and services.
    user_id: UserId | None
    # Set when somebody was asked whether the caller may act: what was asked, and the answer. Without an answer it is
    # what the method is to ask of each of its rooms.
    query: AccessQuery | None
    grant: AccessGrant | None
    # Until when the caller waits; NEVER for a stream, unless its client has said so.
    deadline: Deadline
    # Set when the method answers with a stream.
    stream: OpenStream | None = None
    # What to ask, too, when the method turns out to act on what is another user's; None when that is granted already.
    query_for_others: AccessQuery | None = None
    # Tells whether the caller speaks JSON, where fields have other names; few methods ask.
    in_json: Callable[[], bool] = lambda: False

    @property
    def acting_user(self) -> UserId:
        """The user on whose behalf the call is made, for methods whose policy has a self_field.

        Raises SUBJECT_REQUIRED.
        """
        if self.user_id is None:
            raise nobody_acts("")
        return self.user_id

    def on_behalf_of(self, named: str, field: str) -> UserId:
        """Return the user that a field names, or oneself; for methods that only sometimes act for a user.

        Raises SUBJECT_REQUIRED.
        """
        acting = who_acts(named, self.caller, field)
        if acting is None:
            raise nobody_acts(field)
        return acting

    @property
    def room(self) -> RoomGrant:
        """The room, for methods whose policy asks for membership. Raises a RuntimeError for others."""
        if self.grant is None or self.grant.room_uid is None:
            raise RuntimeError("the method's policy asks for no membership")
        return RoomGrant(self.grant.room_uid, self.grant.user_uid)

    def on_end(self, goodbye: Goodbye) -> None:
        """Say, for a method that streams, how it ends when the process must end it.

        `goodbye` is called with the error; from then on the method sends its last word only, and raises the error.
        """
        if self.stream is None:
            raise RuntimeError("the method answers with no stream")
        self.stream.on_end(goodbye)


def header_of(context: Context, name: str) -> str:
    """Return a header of a call; empty for none."""
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""


def deadline_of(context: Context, seconds: float = math.inf) -> Deadline:
    """Return until when the caller waits, and so many seconds from now at the latest."""
    left = context.time_remaining()
    return Deadline.after(seconds if left is None else min(left, seconds))


def who_acts(named: str, caller: Caller, field: str) -> UserId | None:
    """Return who acts when a field names them, or does not; another's name needs a superuser's token.

    Raises SUBJECT_MISMATCH.
    """
    if named and named != caller.subject and not caller.superuser:
        raise PermissionDenied(
            "SUBJECT_MISMATCH",
            f"{field} is another user's and the token has no su",
            metadata={"field": field},
        )
    return UserId(named) if named else caller.subject


def nobody_acts(field: str) -> InvalidArgument:
    """Return the error for a call of which nobody is said to act."""
    description = "neither the request nor the token says who acts"
    return InvalidArgument("SUBJECT_REQUIRED", description, violations=[Violation(field, description)] if field else ())
