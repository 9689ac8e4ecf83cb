"""What the suite says when it refuses a call or ends a stream: a code, a reason to branch on, and facts.

It is in the status details (`grpc-status-details-bin`); what comes without them is the connection's own failure. What
an error means for whoever may try again is decided here and nowhere else.
"""

from collections.abc import Mapping
from typing import cast

import grpc
from google.protobuf import duration_pb2, json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from chatkit_client.proto.contract.v1 import error_reason_pb2, stream_pb2
from chatkit_client.proto.messages.v1 import room_event_pb2, send_result_pb2
from chatkit_client.reasons import Reason

_DOMAIN = "chatkit"
_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# A lost connection shows itself in any of these. A service uses some of them too, and then it gives a reason.
_CONNECTION_LOST = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
}
# After any other ending of a stream, another one would end in the same way.
_RESUMABLE = {
    *_CONNECTION_LOST,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
_OF_HTTP = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.PERMISSION_DENIED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class ChatkitError(Exception):
    """A call that was refused, or a stream that ended.

    `reason` is a Reason, or the text of one that only a later release knows, and empty when the suite itself said
    nothing. `metadata` has the facts that the contract names beside the reason.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}" if message else reason or code.name)
        self.code = code
        self.reason: str = Reason.__members__.get(reason, reason)
        self.message = message
        self.metadata = dict(metadata or {})
        # Seconds to wait before the next attempt, when the suite names them.
        self.retry_after = retry_after

    @property
    def is_connection_lost(self) -> bool:
        """Whether the connection is gone, or nothing is there to connect to: the suite itself said nothing."""
        return not self.reason and self.code in _CONNECTION_LOST

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed later: the suite is away or overloaded, or the connection was lost."""
        late = self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        return late or self.is_connection_lost

    @property
    def is_turned_away(self) -> bool:
        """Whether the call was refused before it did anything and is welcome again.

        It came too often, lost a race, met a wrong clock, or there was no token.
        """
        is_of_these = self.code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED}
        return self.retry_after is not None and (is_of_these or self.reason == Reason.TOKEN_NOT_YET_VALID)

    @property
    def is_resumable(self) -> bool:
        """Whether it makes sense to open another stream after this ending of one."""
        return self.code in _RESUMABLE or self.is_turned_away

    @property
    def wants_another_token(self) -> bool:
        """Whether the token was good once, and is no longer."""
        is_revoked = self.reason == Reason.TOKEN_INVALID and self.retry_after is not None
        return self.reason == Reason.TOKEN_EXPIRED or is_revoked


class TokenError(ChatkitError):
    """The function that fetches tokens has failed; its own error is the cause."""

    def __init__(self, error: Exception) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, "", f"there is no token: {error!r}")
        self.__cause__ = error

    @property
    def is_connection_lost(self) -> bool:
        """It is not: nothing was sent."""
        return False

    @property
    def is_turned_away(self) -> bool:
        """It is as if: the call did nothing."""
        return True


class SignedOut(ChatkitError):
    """Raised by a function that fetches tokens, when there will be none any more: nothing is tried again."""

    def __init__(self, message: str = "") -> None:
        super().__init__(grpc.StatusCode.UNAUTHENTICATED, "", message)


def from_rpc_error(error: grpc.aio.AioRpcError) -> ChatkitError:
    """Decode what a call ended with."""
    trailing = cast("tuple[tuple[str, str | bytes], ...]", error.trailing_metadata() or ())
    for key, value in trailing:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            decoded = _from_details(error.code(), value)
            if decoded is not None:
                return decoded
    return ChatkitError(error.code(), "", error.details() or "")


def from_closed(closed: room_event_pb2.Closed | stream_pb2.StreamClosed) -> ChatkitError:
    """Decode a stream's last event."""
    return ChatkitError(
        _CODES.get(closed.code, grpc.StatusCode.UNKNOWN),
        _name_of(closed.reason),
        "the stream was closed",
        retry_after=_seconds(closed.retry_after) if closed.HasField("retry_after") else None,
    )


def from_failure(failure: send_result_pb2.SendFailure) -> ChatkitError:
    """Decode why one message of several was not sent."""
    return ChatkitError(
        _CODES.get(failure.code, grpc.StatusCode.UNKNOWN),
        _name_of(failure.reason),
        failure.message,
        metadata=failure.metadata,
        retry_after=_seconds(failure.retry_after) if failure.HasField("retry_after") else None,
    )


def from_http(status: int, body: bytes) -> ChatkitError:
    """Decode an answer in HTTP, which is the suite's own or that of a bucket."""
    code = _OF_HTTP.get(status, grpc.StatusCode.UNAVAILABLE)
    try:
        told = json_format.Parse(body, status_pb2.Status(), ignore_unknown_fields=True)
        decoded = _from_status(_CODES.get(told.code, code), told)
    except (json_format.ParseError, UnicodeDecodeError):
        decoded = None
    return decoded or ChatkitError(code, "", f"HTTP {status}")


_REASONS = frozenset(error_reason_pb2.ErrorReason.values())


def _from_details(code: grpc.StatusCode, encoded: bytes) -> ChatkitError | None:
    try:
        return _from_status(code, status_pb2.Status.FromString(encoded))
    except DecodeError:
        return None


def _from_status(code: grpc.StatusCode, status: status_pb2.Status) -> ChatkitError | None:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after: float | None = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after = _seconds(retry.retry_delay)
        else:
            detail.Unpack(info)
    if info.domain != _DOMAIN:
        return None
    return ChatkitError(code, info.reason, status.message, metadata=info.metadata, retry_after=retry_after)


def _name_of(reason: "error_reason_pb2.ErrorReason") -> str:
    return error_reason_pb2.ErrorReason.Name(reason) if reason in _REASONS else str(reason)


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToTimedelta().total_seconds()
