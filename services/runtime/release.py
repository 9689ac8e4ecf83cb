"""Which release a process is of: its version, and the commit that it was built from where that is known."""

from dataclasses import dataclass
from importlib.metadata import version

VERSION_HEADER, COMMIT_HEADER = "x-chatkit-version", "x-chatkit-commit"
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Release:
    """What `GET /`, health, logs and `./chatkit services` say; `commit` is empty where it is not known."""

    commit: str = ""

    @property
    def version(self) -> str:
        """The version, which CHANGELOG.md describes."""
        return version("chatkit")

    @property
    def label(self) -> str:
        """The version and the beginning of the commit, as in 0.1.0+93ec10e5d2aa."""
        return label(self.version, self.commit)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The same as headers of an answer."""
        known = ((COMMIT_HEADER, self.commit),) if self.commit else ()
        return ((VERSION_HEADER, self.version), *known)


def label(version: str, commit: str) -> str:
    """Join a version and a commit, which may be empty, for people."""
    sha, dash, state = commit.partition("-")
    return f"{version}+{sha[:_SHORT]}{dash.replace('-', '.')}{state}" if commit else version
