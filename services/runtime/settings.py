"""The settings of a service process, read from the environment once; nothing else reads it.

Every field has a default that lets a new version run beside an old one's configuration.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.contract import Limits


class Settings(BaseSettings):
    """What every service is told; durations are seconds in the environment."""

    model_config = SettingsConfigDict(env_prefix="CHATKIT_", frozen=True, extra="ignore")

    listen: str = Field(default="127.0.0.1:0", description="host:port of the gRPC listener")
    database_url: SecretStr = Field(default=SecretStr(""), description="DSN of the runtime role")
    migrate_database_url: SecretStr = Field(default=SecretStr(""), description="DSN of the role that owns the schema")
    database_processes: int = Field(default=4, ge=1, description="service processes that share the database server")
    database_connections: int = Field(default=6, ge=1, description="connections of one such process at the most")
    instance: str = Field(default="", description="the instance that tokens must name")
    keys_file: Path = Field(default=Path("keys.json"), description="API keys")
    service_keys_file: Path = Field(default=Path("service_keys.json"), description="keys of tokens between services")
    users_address: str = Field(default="127.0.0.1:50051", description="host:port of users")
    rooms_address: str = Field(default="127.0.0.1:50052", description="host:port of rooms")
    messages_address: str = Field(default="127.0.0.1:50053", description="host:port of messages")
    files_address: str = Field(default="127.0.0.1:50054", description="host:port of files")
    log_format: Literal["json", "text"] = "json"
    shutdown_grace_seconds: float = Field(default=10.0, ge=0)
    retry_interval_seconds: float = Field(
        default=0.5, gt=0, description="pause between attempts to reach what is absent"
    )
    heartbeat_interval_seconds: float = Field(default=15.0, gt=0, description="between heartbeats of a room's stream")
    access_heartbeat_interval_seconds: float = Field(default=1.0, gt=0, description="between heartbeats of WatchAccess")
    access_poll_interval_seconds: float = Field(default=0.1, gt=0, description="between looks at the changes of access")
    access_changes_kept_seconds: float = Field(default=3600.0, gt=0, description="how long changes can be caught up on")
    heads_poll_interval_seconds: float = Field(
        default=2.0, gt=0, description="between looks at the heads of followed rooms"
    )
    limit_overrides: dict[str, int] = Field(default_factory=dict, description="filled from CHATKIT_LIMIT_<NAME>")

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return Limits(self.limit_overrides)

    @property
    def access_changes_kept(self) -> timedelta:
        """How long the changes of access are kept for those who follow them."""
        return timedelta(seconds=self.access_changes_kept_seconds)

    @property
    def shutdown_grace(self) -> timedelta:
        """How long open calls may go on once the process was told to stop."""
        return timedelta(seconds=self.shutdown_grace_seconds)


def read_settings() -> Settings:
    """Read the environment; a setting that makes no sense is a ValueError that names it."""
    overrides = {row.name: row.value for row in Limits.from_environ(os.environ).rows if row.value != row.default}
    try:
        return Settings(limit_overrides=overrides)
    except ValidationError as error:
        faults = [(str(fault["loc"][0]).upper(), fault["msg"], fault["input"]) for fault in error.errors()]
        raise ValueError("; ".join(f"CHATKIT_{name}: {wrong}, not {told!r}" for name, wrong, told in faults)) from None
