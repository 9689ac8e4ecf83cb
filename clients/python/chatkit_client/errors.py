"""What the suite says when it refuses a call or ends a stream: a code, a reason to branch on, and facts.

It is in the status details (`grpc-status-details-bin`); what comes without them is the connection's own failure.
"""

from collections.abc import Mapping
from typing import cast

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import room_event_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

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


class ChatkitError(Exception):
    """A call that was refused, or a stream that ended. `reason` is empty when the suite itself said nothing."""

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
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        # Seconds to wait before the next attempt, when the suite names them.
        self.retry_after = retry_after

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed later: the suite is away or overloaded, or the connection was lost."""
        if not self.reason:
            return self.code in _CONNECTION_LOST or self.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

    @property
    def is_turned_away(self) -> bool:
        """Whether the call was refused before it did anything and is welcome again: a rate, a lost race."""
        return self.retry_after is not None and self.code in {
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.ABORTED,
        }


def from_rpc_error(error: grpc.aio.AioRpcError) -> ChatkitError:
    """Decode what a call ended with."""
    trailing = cast("tuple[tuple[str, str | bytes], ...]", error.trailing_metadata() or ())
    for key, value in trailing:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            decoded = _from_details(error.code(), value)
            if decoded is not None:
                return decoded
    return ChatkitError(error.code(), "", error.details() or "")


def from_closed(closed: room_event_pb2.Closed) -> ChatkitError:
    """Decode a stream's last event."""
    name = error_reason_pb2.ErrorReason.Name(closed.reason) if closed.reason in _REASONS else str(closed.reason)
    retry_after = closed.retry_after.ToTimedelta().total_seconds() if closed.HasField("retry_after") else None
    return ChatkitError(
        _CODES.get(closed.code, grpc.StatusCode.UNKNOWN),
        name,
        "the stream was closed",
        retry_after=retry_after,
    )


_REASONS = frozenset(error_reason_pb2.ErrorReason.values())


def _from_details(code: grpc.StatusCode, encoded: bytes) -> ChatkitError | None:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after: float | None = None
    try:
        status = status_pb2.Status.FromString(encoded)
        for detail in status.details:
            if detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta().total_seconds()
            else:
                detail.Unpack(info)
    except DecodeError:
        return None
    if info.domain != _DOMAIN:
        return None
    return ChatkitError(code, info.reason, status.message, metadata=info.metadata, retry_after=retry_after)
