"""The packages of an image, and which of them requires which, as their installed metadata says.

Everybody is told the same: what an image has does not depend on the system or the Python that this runs on.
"""

from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.stack.shipped.pins import Pinned, pinned
from services.stack.trouble import Trouble

OWN = "chatkit"
CLIENT = "chatkit-client"
# What is installed in each image, and the file of requirements/ that pins it. `stack` is what `./chatkit up` runs.
IMAGES = {
    "users": (OWN, "service"),
    "rooms": (OWN, "service"),
    "messages": (OWN, "service"),
    "files": (f"{OWN}[files]", "files"),
    "edge": (f"{OWN}[edge]", "edge"),
    "stack": (f"{OWN}[stack]", "stack"),
}
# What the images run on: services/Dockerfile.
_ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.12.0",
    "python_version": "3.12",
    "sys_platform": "linux",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package as it is installed, with the names of those that it requires in this image."""

    pinned: Pinned
    distribution: Distribution
    requires: tuple[str, ...]


def requirements(*wanted: str) -> dict[str, set[str]]:
    """Return the names of packages and of all that they require in turn, each with those that it requires itself."""
    found: dict[str, set[str]] = {}
    seen, left = set[str](), [*wanted]
    while left:
        requirement = Requirement(left.pop())
        if str(requirement) not in seen:
            seen.add(str(requirement))
            name, further = canonicalize_name(requirement.name), _required_by(requirement)
            names = {canonicalize_name(Requirement(one).name) for one in further}
            found.setdefault(name, set()).update(names - {name})
            left += further
    return found


def packages(image: str) -> list[Package]:
    """List what others made of an image, by name. Raises Trouble where the installed is not the pinned."""
    wanted, file = IMAGES[image]
    known = pinned(file)
    required = requirements(wanted)
    names = sorted(required.keys() - {OWN, CLIENT})
    return [Package(known[name], _installed(known[name]), tuple(sorted(required[name]))) for name in names]


def required_by_own(image: str) -> list[str]:
    """List what others made of an image and Chatkit, or its client, requires itself."""
    required = requirements(IMAGES[image][0])
    return sorted((required[OWN] | required.get(CLIENT, set())) - {CLIENT})


def _required_by(requirement: Requirement) -> list[str]:
    further = []
    for text in distribution(requirement.name).requires or []:
        one = Requirement(text)
        extras = (*requirement.extras, "")
        if not one.marker or any(one.marker.evaluate({**_ENVIRONMENT, "extra": extra}) for extra in extras):
            further.append(f"{one.name}[{','.join(sorted(one.extras))}]" if one.extras else one.name)
    return further


def _installed(package: Pinned) -> Distribution:
    try:
        found = distribution(package.name)
    except PackageNotFoundError:
        raise Trouble(f"{package.name} is not installed: remove .venv") from None
    if found.version != package.version:
        raise Trouble(f"{package.name} {found.version} is installed, and {package.version} is pinned: remove .venv")
    return found
