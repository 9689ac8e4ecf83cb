"""What is wrong with a request, and the error that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.runtime.contract.errors import InvalidArgument, Violation
from services.runtime.contract.policies import limit_name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a request."""

    reason: str
    field: str
    description: str
    limit: str = ""
    # The limit's value, which is a maximum or a minimum.
    bound: int = 0
    actual: int = 0


def over(limit: int, path: str, maximum: int, actual: int, surely: str = "") -> Finding:
    """Return what is wrong with a value that is more than a limit; `surely` stands before its size."""
    name = limit_name(limit)
    return Finding(
        "LIMIT_EXCEEDED",
        path,
        f"{name} is {maximum}, sent were {surely}{actual}",
        name,
        maximum,
        actual,
    )


def under(limit: int, path: str, minimum: int, actual: int) -> Finding:
    """Return what is wrong with a value that is less than a limit."""
    name = limit_name(limit)
    return Finding(
        "BELOW_MINIMUM", path, f"{name} is {minimum} at the least, sent were {actual}", name, minimum, actual
    )


def invalid_request(findings: Sequence[Finding]) -> InvalidArgument:
    """Return the error for all of them; the first one is its reason."""
    first = findings[0]
    metadata = {"field": first.field}
    if first.limit:
        bound = "minimum" if first.reason == "BELOW_MINIMUM" else "maximum"
        metadata |= {
            "limit": first.limit,
            bound: str(first.bound),
            "actual": str(first.actual),
        }
    return InvalidArgument(
        first.reason,
        f"{first.field}: {first.description}",
        metadata=metadata,
        violations=[Violation(finding.field, finding.description) for finding in findings],
        quota=[Violation(finding.limit, finding.description) for finding in findings if finding.limit],
    )
