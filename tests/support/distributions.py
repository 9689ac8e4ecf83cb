"""What installed packages require of one another."""

from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def with_what_they_require(*requirements: str) -> set[str]:
    """Return the names of packages and of all that these require in turn, where this runs."""
    names, seen, left = set[str](), set[str](), [*requirements]
    while left:
        required = Requirement(left.pop())
        if str(required) in seen:
            continue
        seen.add(str(required))
        names.add(canonicalize_name(required.name))
        for text in distribution(required.name).requires or []:
            further = Requirement(text)
            if any(not further.marker or further.marker.evaluate({"extra": one}) for one in (*required.extras, "")):
                left.append(f"{further.name}[{','.join(further.extras)}]" if further.extras else further.name)
    return names
