"""google.protobuf.Timestamp and Duration from Python's own; times are UTC."""

from datetime import datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2


def timestamp(value: datetime) -> timestamp_pb2.Timestamp:
    """Return the Timestamp of a time with its zone."""
    result = timestamp_pb2.Timestamp()
    result.FromDatetime(value)
    return result


def duration(value: timedelta | None) -> duration_pb2.Duration | None:
    """Return the Duration of a time span, or none of none."""
    if value is None:
        return None
    result = duration_pb2.Duration()
    result.FromTimedelta(value)
    return result
