"""What users is told by the environment, beside what every process is told."""

from pydantic import Field, ValidationInfo, field_validator

from services.runtime.settings import Settings


class UsersSettings(Settings):
    """How soon changes of users are seen, and when somebody counts as offline."""

    changes_poll_interval_seconds: float = Field(
        default=1.0, gt=0, description="between looks at the changes of users, which the bus mostly tells before"
    )
    presence_lease_seconds: float = Field(
        default=5.0,
        gt=0,
        description="how long a replica's users stay online without a sign of it; as much again is"
        " the wait before it takes away the leases of others",
    )
    presence_renewal_interval_seconds: float = Field(
        default=1.0, gt=0, description="between renewals of the lease, well below it"
    )
    presence_grace_seconds: float = Field(
        default=10.0, ge=0, description="how long a user stays online without a stream"
    )
    presence_reaping_interval_seconds: float = Field(
        default=1.0, gt=0, description="between looks for users who are to be offline"
    )

    @field_validator("presence_renewal_interval_seconds")
    @classmethod
    def _renews_in_time(cls, told: float, info: ValidationInfo) -> float:
        """Refuse to let every lease lapse before it is renewed."""
        lease = info.data.get("presence_lease_seconds")
        if lease is not None and told >= lease:
            raise ValueError(f"must be shorter than the lease, {lease}")
        return told
