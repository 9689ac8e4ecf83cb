"""google.protobuf.Timestamp from datetime; both are UTC."""

from datetime import datetime

from google.protobuf import timestamp_pb2


def timestamp(value: datetime) -> timestamp_pb2.Timestamp:
    """Return the Timestamp of a time with its zone."""
    result = timestamp_pb2.Timestamp()
    result.FromDatetime(value)
    return result
