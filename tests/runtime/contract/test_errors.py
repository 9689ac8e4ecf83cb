"""The one mapping of errors to gRPC and back: what a service raises is what its caller's caller gets."""

from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.contract.errors import (
    DETAILS_KEY,
    ChatkitError,
    DeadlineExceeded,
    Internal,
    NotFound,
    Unavailable,
    Violation,
    class_of,
    from_rpc_error,
    from_status,
    to_status,
)

CLASSES = sorted(ChatkitError.__subclasses__(), key=lambda kind: kind.__name__)
Trailing = tuple[tuple[str, str | bytes], ...]


def _same(error: ChatkitError, other: ChatkitError | None) -> bool:
    return other is not None and (type(error), vars(error)) == (type(other), vars(other))


def _rpc_error(code: grpc.StatusCode, details: str = "", trailing: Trailing = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def _full(kind: type[ChatkitError]) -> ChatkitError:
    return kind(
        "SOME_REASON",
        "what happened, with ünïcode 🫎",
        metadata={"user_ids": '["møøse"]', "limit": "ROOM_MEMBERS"},
        violations=[Violation("parts[0].url", "must be a URL"), Violation("name", "must not be empty")],
        quota=[Violation("ROOM_MEMBERS", "at most 100")],
        retry_after=timedelta(milliseconds=1_500),
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_a_hop_with_all_that_it_says(kind: type[ChatkitError]) -> None:
    error = _full(kind)
    assert _same(error, from_status(to_status(error)))
    details = ((DETAILS_KEY, to_status(error).SerializeToString()),)
    first = from_rpc_error(_rpc_error(kind.code, error.message, details), "rooms")
    assert _same(error, first)
    # And another hop, which is where rooms' error meets the client of messages.
    assert to_status(first) == to_status(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_without_details_stays_without_them(kind: type[ChatkitError]) -> None:
    error = kind("SOME_REASON", "")
    status = to_status(error)
    assert [detail.TypeName() for detail in status.details] == ["google.rpc.ErrorInfo"]
    assert _same(error, from_status(status))


def test_details_are_googles_so_that_any_client_can_read_them() -> None:
    status = to_status(_full(NotFound))
    assert (status.code, status.message) == (5, "what happened, with ünïcode 🫎")
    info, request, quota, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.QuotaFailure(),
        error_details_pb2.RetryInfo(),
    )
    for detail, message in zip(status.details, (info, request, quota, retry), strict=True):
        assert detail.Unpack(message)
    assert (info.reason, info.domain) == ("SOME_REASON", "chatkit")
    assert info.metadata == {"user_ids": '["møøse"]', "limit": "ROOM_MEMBERS"}
    assert [violation.field for violation in request.field_violations] == ["parts[0].url", "name"]
    assert [violation.subject for violation in quota.violations] == ["ROOM_MEMBERS"]
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


@given(
    reason=st.text("ABC_", min_size=1, max_size=20),
    message=st.text(max_size=20),
    metadata=st.dictionaries(st.text("abc_", min_size=1, max_size=5), st.text(max_size=10), max_size=3),
    delay=st.none() | st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_any_text_and_delay_survives(
    reason: str, message: str, metadata: dict[str, str], delay: timedelta | None
) -> None:
    error = NotFound(reason, message, metadata=metadata, retry_after=delay)
    assert _same(error, from_status(status_pb2.Status.FromString(to_status(error).SerializeToString())))


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_peer_that_does_not_answer_is_unavailable_by_name_and_driver_text_stays_here(code: grpc.StatusCode) -> None:
    error = from_rpc_error(_rpc_error(code, "failed to connect to 10.0.0.7:50052"), "rooms")
    assert isinstance(error, Unavailable)
    assert (error.reason, error.metadata) == ("SERVICE_UNAVAILABLE", {"service": "rooms"})
    assert error.retry_after is not None
    assert "10.0.0.7" not in error.message


def test_a_peer_that_is_too_slow_is_a_deadline() -> None:
    error = from_rpc_error(_rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED), "rooms")
    assert isinstance(error, DeadlineExceeded)
    assert error.reason == "DEADLINE_EXCEEDED"


def test_an_answer_without_a_reason_of_ours_is_an_internal_error_that_quotes_nothing() -> None:
    foreign = status_pb2.Status(code=5, message="secret")
    foreign.details.add().Pack(error_details_pb2.ErrorInfo(reason="X", domain="googleapis.com"))
    unknown_code = to_status(NotFound("X", "secret"))
    unknown_code.code = 99
    for trailing in (
        (),
        ((DETAILS_KEY, foreign.SerializeToString()),),
        ((DETAILS_KEY, unknown_code.SerializeToString()),),
        ((DETAILS_KEY, b"\xff not a status"),),
        (("other-bin", to_status(NotFound("X", "secret")).SerializeToString()),),
    ):
        error = from_rpc_error(_rpc_error(grpc.StatusCode.NOT_FOUND, "secret", trailing), "rooms")
        assert isinstance(error, Internal)
        assert error.message == "rooms answered NOT_FOUND without a reason"


def test_a_reason_has_one_class() -> None:
    assert class_of("ROOM_NOT_FOUND") is NotFound
    with pytest.raises(KeyError):
        class_of("NO_SUCH_REASON")
