"""An error fits into headers, whatever callers sent and whatever limits a deployment has raised."""

import base64
import json
from urllib.parse import quote
from uuid import uuid4

from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.contract.absent import users_not_found
from services.runtime.contract.error_bounds import MOST_BYTES
from services.runtime.contract.errors import ChatkitError, InvalidArgument, Violation, from_status, to_status

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)


def _sent_bytes(error: ChatkitError) -> int:
    """Return what an error takes in the two headers that tell it."""
    status = to_status(error)
    return len(quote(status.message, safe="")) + len(base64.b64encode(status.SerializeToString()))


@given(
    message=_TEXT,
    metadata=st.dictionaries(st.sampled_from(["user_ids", "field", "limit", "actual"]), _TEXT),
    listed=st.lists(_TEXT, max_size=12),
    violations=st.lists(st.tuples(_TEXT, _TEXT), max_size=12),
)
def test_whatever_an_error_says_it_fits_and_stays_readable(
    message: str, metadata: dict[str, str], listed: list[str], violations: list[tuple[str, str]]
) -> None:
    told = [Violation(*violation) for violation in violations]
    error = InvalidArgument(
        "FIELD_INVALID", message, metadata={**metadata, "listed": json.dumps(listed)}, violations=told, quota=told
    )
    assert _sent_bytes(error) <= MOST_BYTES
    read = from_status(to_status(error))
    assert read is not None
    assert read.reason == "FIELD_INVALID"
    assert read.metadata.keys() >= error.metadata.keys()
    kept = json.loads(read.metadata["listed"])
    assert kept == listed[: len(kept)]
    assert int(read.metadata.get("listed_left_out", 0)) == len(listed) - len(kept)
    # Sent on by another service, it stays as it is.
    assert to_status(read) == to_status(error)


def test_many_missing_users_are_counted_and_some_are_named() -> None:
    missing = [str(uuid4()) for _ in range(1_000)]
    info = error_details_pb2.ErrorInfo()
    assert to_status(users_not_found(missing)).details[0].Unpack(info)
    named = json.loads(info.metadata["user_ids"])
    assert named == missing[: len(named)]
    assert len(named) > 10
    assert info.metadata["user_ids_left_out"] == str(1_000 - len(named))


def test_ten_missing_users_are_all_named() -> None:
    missing = [str(uuid4()) for _ in range(10)]
    assert json.loads(users_not_found(missing).metadata["user_ids"]) == missing
    read = from_status(to_status(users_not_found(missing)))
    assert read is not None
    assert json.loads(read.metadata["user_ids"]) == missing
    assert "user_ids_left_out" not in read.metadata


def test_violations_that_do_not_fit_are_counted() -> None:
    violations = [Violation(f"requests[{number}].name", "must not be empty") for number in range(100)]
    read = from_status(to_status(InvalidArgument("FIELD_INVALID", "x", violations=violations)))
    assert read is not None
    *kept, rest = read.violations
    assert kept == violations[: len(kept)]
    assert rest == Violation("", f"and {100 - len(kept)} more")
