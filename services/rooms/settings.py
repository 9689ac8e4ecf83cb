"""What rooms is told by the environment, beside what every process is told."""

from pydantic import Field

from services.runtime.settings import Settings


class RoomsSettings(Settings):
    """How soon changes of access are seen, and how much may wait for clients."""

    access_poll_interval_seconds: float = Field(default=0.1, gt=0, description="between looks at the changes of access")
    user_state_bytes: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="state of users' streams that waits in a process of rooms for clients to read it, of one user a"
        " quarter of it",
    )
