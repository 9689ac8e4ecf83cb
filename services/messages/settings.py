"""What messages is told by the environment, beside what every process is told."""

from pydantic import Field

from services.runtime.settings import Settings


class MessagesSettings(Settings):
    """How rooms are followed, and for how long messages are kept."""

    access_ending_spread_seconds: float = Field(
        default=10.0, ge=0, description="the time over which streams end when rooms stays away"
    )
    device_state_bytes: int = Field(
        default=64 * 1024 * 1024, gt=0, description="bytes of users' state that may wait for devices to read it"
    )
    heads_poll_interval_seconds: float = Field(
        default=2.0, gt=0, description="between looks at the heads of followed rooms"
    )
    retention_days: int | None = Field(
        default=None, description="for how many days messages are kept where the room says nothing; unset for ever"
    )
    unread_without_own_messages: bool = Field(
        default=False, description="whether what a user has sent never counts as unread for that user"
    )
    retention_sweep_interval_seconds: float = Field(
        default=600.0, gt=0, description="between two walks over all rooms that remove what is no longer kept"
    )
    retention_sweep_pause_seconds: float = Field(
        default=0.02, ge=0, description="between two removals of some hundred messages of a room"
    )
