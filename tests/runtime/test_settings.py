"""What a service is told by its environment, and how a setting that makes no sense is refused."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from chatkit.contract.v1 import limit_pb2
from pydantic import ValidationError

from services.edge.settings import EdgeSettings
from services.runtime.settings import Settings, read_settings, read_settings_of


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHATKIT_")]:
        monkeypatch.delenv(name)


def test_every_setting_has_a_default_so_that_a_new_version_runs_beside_an_old_ones_environment() -> None:
    settings = read_settings()
    assert settings == Settings()
    assert settings.shutdown_grace == timedelta(seconds=10)
    assert settings.log_format == "json"
    assert settings.limit_overrides == {}


def test_settings_are_read_from_the_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CHATKIT_LISTEN": "0.0.0.0:7000",
        "CHATKIT_DATABASE_URL": "postgresql://u:p@h/d",
        "CHATKIT_KEYS_FILE": "/etc/keys.json",
        "CHATKIT_SHUTDOWN_GRACE_SECONDS": "2.5",
        "CHATKIT_LIMIT_ROOM_MEMBERS": "500",
        "CHATKIT_OF_A_LATER_VERSION": "1",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    monkeypatch.setenv("CHATKIT_LIMIT_ROOM_MEMBERS", "600")
    assert (settings.listen, settings.keys_file) == ("0.0.0.0:7000", Path("/etc/keys.json"))
    assert settings.shutdown_grace == timedelta(seconds=2.5)
    assert settings.limits[limit_pb2.LIMIT_ROOM_MEMBERS] == 500
    assert settings.limits[limit_pb2.LIMIT_ROOM_NAME_CHARS] == 60


def test_a_password_is_not_shown_where_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", "postgresql://u:hush@h/d")
    settings = read_settings()
    assert "hush" not in repr(settings)
    assert "hush" in settings.database_url.get_secret_value()


def test_settings_do_not_change_while_a_process_runs() -> None:
    with pytest.raises(ValidationError):
        read_settings().listen = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATKIT_LIMIT_ROOM_MEMBERS", "many"),
        ("CHATKIT_LIMIT_ROOM_MEMBERS", "0"),
        ("CHATKIT_LIMIT_ROOM_MEMBER", "5"),
        ("CHATKIT_DATABASE_PROCESSES", "0"),
        ("CHATKIT_SHUTDOWN_GRACE_SECONDS", "soon"),
        ("CHATKIT_SHUTDOWN_GRACE_SECONDS", "nan"),
        ("CHATKIT_HEARTBEAT_INTERVAL_SECONDS", "0"),
        ("CHATKIT_PRESENCE_RENEWAL_INTERVAL_SECONDS", "5"),
        ("CHATKIT_LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name.removeprefix("CHATKIT_LIMIT_")) as caught:
        read_settings()
    assert "\n" not in str(caught.value)


def test_all_settings_that_make_no_sense_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_LOG_FORMAT", "xml")
    monkeypatch.setenv("CHATKIT_DATABASE_CONNECTIONS", "few")
    with pytest.raises(ValueError, match=r"CHATKIT_DATABASE_CONNECTIONS: .*'few'.*CHATKIT_LOG_FORMAT: .*'xml'"):
        read_settings()


def test_an_empty_path_is_none_also_in_the_settings_of_a_process_that_is_told_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("jwks_file", "tls_certificate_file", "tls_key_file", "tls_ca_file", "edge_tls_certificate_file")
    for name in names:
        monkeypatch.setenv(f"CHATKIT_{name.upper()}", "")
    settings = read_settings_of(EdgeSettings)
    assert [getattr(settings, name) for name in names] == [None] * len(names)
    assert settings.tls is None
