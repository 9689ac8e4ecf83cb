"""The one tree of errors and its one mapping to and from gRPC.

The domain raises these and never gRPC; a NotFound raised in SQL is the same NotFound after two hops. Driver text
never leaves a process: what is not a ChatkitError becomes Internal at the boundary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, cast

import grpc
from chatkit.contract.v1 import error_reason_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.runtime.contract.error_bounds import bounded_message, bounded_metadata, bounded_violations
from services.runtime.contract.policies import error_definition

DOMAIN = "chatkit"
DETAILS_KEY = "grpc-status-details-bin"
# By which the edge learns which status of HTTP an error has in JSON, where the code does not say it.
HTTP_STATUS_KEY = "x-chatkit-http-status"


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of the request that is wrong, and how."""

    field: str
    description: str


class ChatkitError(Exception):
    """An answer that is not OK: a code, a stable reason, and facts in `metadata`."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        quota: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.quota = tuple(quota)
        self.retry_after = retry_after


class InvalidArgument(ChatkitError):
    """The request is bad whatever the state."""

    code = grpc.StatusCode.INVALID_ARGUMENT


def invalid_field(reason: str, field: str, description: str) -> InvalidArgument:
    """Return the error for one field of the request that is wrong."""
    return InvalidArgument(
        reason,
        f"{field}: {description}",
        metadata={"field": field},
        violations=[Violation(field, description)],
    )


class NotFound(ChatkitError):
    """What the request names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ChatkitError):
    """What the request creates exists."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(ChatkitError):
    """The caller may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(ChatkitError):
    """Nobody knows who the caller is."""

    code = grpc.StatusCode.UNAUTHENTICATED


class FailedPrecondition(ChatkitError):
    """The caller must change the state first."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(ChatkitError):
    """The call lost a race: read and try again."""

    code = grpc.StatusCode.ABORTED


class ResourceExhausted(ChatkitError):
    """A limit of state or time was reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class OutOfRange(ChatkitError):
    """What the request asks for is gone."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Unavailable(ChatkitError):
    """The call may be repeated."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ChatkitError):
    """The call took too long."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unimplemented(ChatkitError):
    """There is no such method."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ChatkitError):
    """Something failed that should not; the log has it under `error_id`."""

    code = grpc.StatusCode.INTERNAL


_BY_CODE: dict[grpc.StatusCode, type[ChatkitError]] = {kind.code: kind for kind in ChatkitError.__subclasses__()}
_BY_NUMBER: dict[int, type[ChatkitError]] = {kind.code.value[0]: kind for kind in ChatkitError.__subclasses__()}


def class_of_code(code: int) -> type[ChatkitError]:
    """Return the class of errors of a code; Internal for one that is not of this contract."""
    return _BY_NUMBER.get(code, Internal)


def class_of(reason: str) -> type[ChatkitError]:
    """Return the class of errors that the contract gives the reason."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name[reason]
    return _BY_NUMBER[error_definition(value).code]


def http_status_of(reason: str) -> int:
    """Return the status of HTTP that the contract gives the reason; 0 where the code's own is right."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(reason)
    return error_definition(value).http_status if value is not None else 0


def number_of(reason: str) -> error_reason_pb2.ErrorReason:
    """Return the contract's number of a reason, for `closed` frames."""
    return cast(
        "error_reason_pb2.ErrorReason",
        error_reason_pb2.ErrorReason.Value(reason),
    )


def to_status(error: ChatkitError) -> status_pb2.Status:
    """Encode an error as google.rpc.Status with its details, so much of them as fits into headers."""
    status = status_pb2.Status(code=error.code.value[0], message=bounded_message(error.message))
    metadata = bounded_metadata(error.metadata)
    _attach(
        status,
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata),
    )
    if error.violations:
        request = error_details_pb2.BadRequest()
        for field, description in _bounded(error.violations):
            request.field_violations.add(field=field, description=description)
        _attach(status, request)
    if error.quota:
        failure = error_details_pb2.QuotaFailure()
        for subject, description in _bounded(error.quota):
            failure.violations.add(subject=subject, description=description)
        _attach(status, failure)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(error.retry_after)
        _attach(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _bounded(violations: Sequence[Violation]) -> list[tuple[str, str]]:
    return bounded_violations([(violation.field, violation.description) for violation in violations])


def _attach(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.QuotaFailure
    | error_details_pb2.RetryInfo,
) -> None:
    packed = any_pb2.Any()
    # Envoy's configuration holds these bytes, and must be the same each time it is rendered.
    packed.Pack(detail, deterministic=True)
    status.details.append(packed)


def from_rpc_error(error: grpc.aio.AioRpcError, service: str) -> ChatkitError:
    """Decode what a peer answered; a peer that did not answer is SERVICE_UNAVAILABLE.

    An answer without a reason of the contract is Internal: its text is logged here and goes no further.
    """
    status = _status_of(error)
    if status is not None:
        decoded = from_status(status)
        if decoded is not None:
            return decoded
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return unavailable_peer(service)
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("DEADLINE_EXCEEDED", f"{service} did not answer in time")
    return Internal("INTERNAL", f"{service} answered {error.code().name} without a reason")


def was_lost(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether a call was lost with its connection, or with the process that it went to: nobody has answered."""
    return error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED} and _status_of(error) is None


def unavailable_peer(service: str) -> Unavailable:
    """Return the error for a peer that can't be reached."""
    return Unavailable(
        "SERVICE_UNAVAILABLE",
        f"{service} can't be reached",
        metadata={"service": service},
        retry_after=timedelta(milliseconds=500),
    )


def unknown_outcome() -> Unavailable:
    """Return the error for a commit of which nobody knows whether it happened."""
    return Unavailable(
        "OUTCOME_UNKNOWN",
        "the outcome of the call is unknown: repeat it",
        retry_after=timedelta(milliseconds=500),
    )


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    trailing = cast("tuple[tuple[str, str | bytes], ...]", error.trailing_metadata() or ())
    for key, value in trailing:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def from_status(status: status_pb2.Status) -> ChatkitError | None:
    """Decode a status; None when it has no reason of this contract."""
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    failure = error_details_pb2.QuotaFailure()
    retry = error_details_pb2.RetryInfo()
    retry_after: timedelta | None = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta()
            continue
        _ = detail.Unpack(info) or detail.Unpack(request) or detail.Unpack(failure)
    if info.domain != DOMAIN or status.code not in _BY_NUMBER:
        return None
    return _BY_NUMBER[status.code](
        info.reason,
        status.message,
        metadata=info.metadata,
        violations=[Violation(v.field, v.description) for v in request.field_violations],
        quota=[Violation(v.subject, v.description) for v in failure.violations],
        retry_after=retry_after,
    )
