"""What is refused about files, each with its reason."""

from datetime import timedelta

from services.runtime.contract.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Violation,
)


def not_found(file_id: str) -> NotFound:
    """Return the error for a file that is not there."""
    return NotFound("FILE_NOT_FOUND", "the room has no such file", metadata={"file_id": file_id})


def not_owner(file_id: str) -> PermissionDenied:
    """Return the error for a file that is somebody else's."""
    return PermissionDenied("FILE_OWNER_REQUIRED", "the file is another user's", metadata={"file_id": file_id})


def not_ready(file_id: str) -> FailedPrecondition:
    """Return the error for a file without content."""
    return FailedPrecondition("FILE_NOT_READY", "the file's content has not arrived yet", metadata={"file_id": file_id})


def in_use(file_id: str, retry_after: timedelta) -> FailedPrecondition:
    """Return the error for a file that a message refers to, or is about to; after a while the latter is settled."""
    return FailedPrecondition(
        "FILE_IN_USE",
        "a message refers to the file, or one that is being sent may: delete the message, or try again in a minute",
        metadata={"file_id": file_id},
        retry_after=retry_after,
    )


def too_large(most: int) -> ResourceExhausted:
    """Return the error for more content than any file has."""
    name, description = "FILE_BYTES", f"the request is larger than {most} bytes"
    return ResourceExhausted(
        "REQUEST_TOO_LARGE",
        description,
        metadata={"limit": name, "maximum": str(most)},
        quota=[Violation(name, description)],
    )


def mismatch(field: str, declared: object, actual: object) -> InvalidArgument:
    """Return the error for content that is not what was declared."""
    description = f"declared was {declared}, sent was {actual}"
    return InvalidArgument(
        "FILE_CONTENT_MISMATCH",
        f"{field}: {description}",
        metadata={"field": field, "declared": str(declared), "actual": str(actual)},
        violations=[Violation(field, description)],
    )
