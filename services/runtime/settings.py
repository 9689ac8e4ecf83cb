"""What processes are told by the environment, which is read once; nothing else reads it.

Here is what every process or several of them read. What one alone reads is in its own `settings.py`.

Every field has a default that lets a new version run beside an old one's configuration.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.contract.policies import Limits
from services.runtime.secret_settings import read_secret, with_password

PREFIX = "CHATKIT_"
_TLS_SETTINGS = ("CHATKIT_TLS_CERTIFICATE_FILE", "CHATKIT_TLS_KEY_FILE", "CHATKIT_TLS_CA_FILE")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A process's certificate and its key, and who must have signed the other processes' certificates; all PEM."""

    certificate: Path
    key: Path
    ca: Path


_Settings = TypeVar("_Settings", bound="Settings")


class Settings(BaseSettings):
    """What processes have in common; durations are seconds in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    listen: str = Field(default="127.0.0.1:0", description="host:port of the gRPC listener")
    metrics_listen: str = Field(
        default="127.0.0.1:0",
        description="host:port of /metrics, /healthz and /readyz; port 0 is one that is free and logged, empty is none",
    )
    # Before the URLs that they belong to, which take them.
    database_password: SecretStr = Field(
        default=SecretStr(""), description="the password of database_url, where that has none"
    )
    migrate_database_password: SecretStr = Field(
        default=SecretStr(""), description="the password of migrate_database_url, where that has none"
    )
    nats_password: SecretStr = Field(default=SecretStr(""), description="the password of nats_url, where that has none")
    database_url: SecretStr = Field(default=SecretStr(""), description="DSN of the runtime role")
    migrate_database_url: SecretStr = Field(default=SecretStr(""), description="DSN of the role that owns the schema")
    database_processes: int = Field(default=4, ge=1, description="service processes that share the database server")
    database_connections: int = Field(default=6, ge=1, description="connections of one such process at the most")
    instance: str = Field(default="", description="the instance that tokens must name")
    keys_file: Path = Field(default=Path("keys.json"), description="API keys, the secrets of tokens with HS256")
    jwks_file: Path | None = Field(
        default=None, description="a JWK set: public keys of tokens with RS256, ES256, EdDSA"
    )
    service_keys_file: Path = Field(default=Path("service_keys.json"), description="keys of tokens between services")
    allow_sample_secrets: bool = Field(
        default=False, description="start although a secret is the one of an example (it begins with sample-)"
    )
    keys_poll_interval_seconds: float = Field(
        default=2.0, gt=0, description="between looks at the files of keys and certificates"
    )
    tls_certificate_file: Path | None = Field(
        default=None, description="this process's certificate for other processes"
    )
    tls_key_file: Path | None = Field(default=None, description="the private key of that certificate")
    tls_ca_file: Path | None = Field(default=None, description="who must have signed the other processes' certificates")
    users_address: str = Field(
        default="127.0.0.1:50051", description="host:port of users; several replicas with commas between them"
    )
    rooms_address: str = Field(default="127.0.0.1:50052", description="host:port of rooms, like that of users")
    messages_address: str = Field(default="127.0.0.1:50053", description="host:port of messages, like that of users")
    files_address: str = Field(default="127.0.0.1:50054", description="host:port of files, like that of users")
    nats_url: SecretStr = Field(
        default=SecretStr(""),
        description="nats://<service>:password@host:port of the bus between replicas, tls:// with TLS, several with"
        " commas; empty without other replicas",
    )
    nats_ca_file: Path | None = Field(default=None, description="who must have signed NATS's certificate, for tls://")
    log_format: Literal["json", "text"] = "json"
    slow_call_seconds: float = Field(
        default=1.0, gt=0, description="how long a call may take before the log tells what its time went into"
    )
    trace_percent: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="of how many calls in a hundred spans are sent, where OTEL_EXPORTER_OTLP_ENDPOINT says to whom",
    )
    commit: str = Field(
        default="",
        pattern=r"^([0-9a-f]{7,64}(-dirty)?)?$",
        description="the commit that the process was built from, where it is known; images have it from their build",
    )
    drain_seconds: float = Field(
        default=2.0,
        ge=0,
        description="how long a process that was told to end (SIGTERM) still serves, and says that it is about to end",
    )
    shutdown_grace_seconds: float = Field(
        default=10.0, ge=0, description="how long open calls may go on after that, or at once with SIGINT"
    )
    connection_age_seconds: float = Field(
        default=1800.0,
        ge=1,
        description="how long a caller's connection takes new calls, within a tenth; what is open on it then goes on",
    )
    retry_interval_seconds: float = Field(
        default=0.5, gt=0, description="pause between attempts to reach what is absent"
    )
    deletions_poll_interval_seconds: float = Field(
        default=0.5, gt=0, description="between looks for deletions that nobody is at, and before one is tried again"
    )
    heartbeat_interval_seconds: float = Field(default=15.0, gt=0, description="between heartbeats of clients' streams")
    access_heartbeat_interval_seconds: float = Field(default=1.0, gt=0, description="between heartbeats of WatchAccess")
    access_changes_kept_seconds: float = Field(default=3600.0, gt=0, description="how long changes can be caught up on")
    access_heartbeat_patience_seconds: float = Field(
        default=30.0, gt=0, description="how old the last proof may be that all changes of access have arrived"
    )
    access_entry_lifetime_seconds: float = Field(default=300.0, gt=0, description="how old a kept answer may be")
    limit_overrides: dict[str, int] = Field(default_factory=dict, description="filled from CHATKIT_LIMIT_<NAME>")

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, told: object, info: ValidationInfo) -> object:
        """Take an empty text for none where none is the default, as an empty path would be the current folder."""
        can_be_unset = info.field_name is not None and cls.model_fields[info.field_name].default is None
        return None if told == "" and can_be_unset else told

    @field_validator("database_url", "migrate_database_url", "nats_url")
    @classmethod
    def _has_its_password(cls, told: SecretStr, info: ValidationInfo) -> SecretStr:
        """Put the password that is told beside a URL into it."""
        name = str(info.field_name)
        password: SecretStr = info.data[f"{name.removesuffix('_url')}_password"]
        return SecretStr(with_password(told.get_secret_value(), password.get_secret_value()))

    @property
    def tls(self) -> TlsFiles | None:
        """The files of TLS between processes; None when there is none. Raises a ValueError where one is missing."""
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        if all(file is None for file in files):
            return None
        certificate, key, ca = files
        if certificate is None or key is None or ca is None:
            names = [name for name, file in zip(_TLS_SETTINGS, files, strict=True) if file is None]
            raise ValueError(f"{', '.join(_TLS_SETTINGS)} go together: {', '.join(names)} is missing")
        return TlsFiles(certificate, key, ca)

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


def secret_settings(kind: type[Settings]) -> list[str]:
    """List the settings that are secrets, each of which may be told as a file (`<VARIABLE>_FILE`) as well."""
    return [name for name, field in kind.model_fields.items() if field.annotation is SecretStr]


@contextmanager
def naming_settings(settings: Settings) -> Iterator[None]:
    """Turn the error of a file that can't be read into a ValueError that says which setting names the file."""
    try:
        yield
    except OSError as error:
        told = ((name, getattr(settings, name)) for name in type(settings).model_fields)
        for name, value in told:
            if isinstance(value, Path) and str(value) == str(error.filename):
                raise ValueError(f"{PREFIX}{name.upper()}: {value} can't be read: {error.strerror}") from None
        raise


def read_settings() -> Settings:
    """Read the environment; a setting that makes no sense is a ValueError that names it."""
    return read_settings_of(Settings)


def read_settings_of(kind: type[_Settings]) -> _Settings:
    """Read the environment for a process that is told more than what all are.

    Raises a ValueError that names each setting that is wrong.
    """
    overrides = {row.name: row.value for row in Limits.from_environ(os.environ).rows if row.value != row.default}
    secrets: dict[str, Any] = {}
    for name in secret_settings(kind):
        if secret := read_secret(os.environ, f"{PREFIX}{name.upper()}"):
            # As SecretStr, because what is refused is shown.
            secrets[name] = SecretStr(secret)
    try:
        return kind(limit_overrides=overrides, **secrets)
    except ValidationError as error:
        faults = [(str(fault["loc"][0]).upper(), fault["msg"], fault["input"]) for fault in error.errors()]
        raise ValueError("; ".join(f"CHATKIT_{name}: {wrong}, not {told!r}" for name, wrong, told in faults)) from None
