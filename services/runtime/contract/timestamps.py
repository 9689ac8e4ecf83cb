"""google.protobuf.Timestamp and Duration from Python's own, and times as text; times are UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from google.protobuf import duration_pb2, timestamp_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400


def timestamp(value: datetime) -> timestamp_pb2.Timestamp:
    """Return the Timestamp of a time with its zone."""
    # FromDatetime takes four times as long, and each row of a page has two.
    since = value - _EPOCH
    return timestamp_pb2.Timestamp(seconds=since.days * _DAY_SECONDS + since.seconds, nanos=since.microseconds * 1_000)


def duration(value: timedelta | None) -> duration_pb2.Duration | None:
    """Return the Duration of a time span, or none of none."""
    if value is None:
        return None
    result = duration_pb2.Duration()
    result.FromTimedelta(value)
    return result


# One record names the same time several times: when it was made and changed last.
@lru_cache(maxsize=16)
def rfc3339(value: datetime) -> str:
    """Return a time as text, like 2020-04-23T10:00:00Z, with a fraction only where it has one."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=16)
def from_rfc3339(text: str) -> datetime:
    """Return the time that a text says; ValueError for another text, and for a time without its zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is not of year 1 to 9999") from None
