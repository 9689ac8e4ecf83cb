"""Times as text, and as protobuf has them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf import timestamp_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from services.runtime.contract.timestamps import from_rfc3339, rfc3339, timestamp

_TIME = datetime(2020, 4, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (_TIME, "2020-04-23T10:00:00Z"),
        (_TIME + timedelta(milliseconds=250), "2020-04-23T10:00:00.250000Z"),
        (_TIME.astimezone(timezone(timedelta(hours=2))), "2020-04-23T10:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_shown_and_read_as_the_same(time: datetime, text: str) -> None:
    assert rfc3339(time) == text
    assert from_rfc3339(text) == time
    assert from_rfc3339(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "Z", "yesterday", "2020-04-23T10:00:00", "2020-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_moment_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_rfc3339(text)


@given(st.datetimes(timezones=st.timezones()))
@example(datetime.min.replace(tzinfo=UTC))
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
def test_a_time_is_the_timestamp_that_protobuf_makes_of_it(value: datetime) -> None:
    expected = timestamp_pb2.Timestamp()
    try:
        expected.FromDatetime(value)
    except ValueError:
        # Of the first or last day of all, by another zone's clock.
        return
    assert timestamp(value) == expected
