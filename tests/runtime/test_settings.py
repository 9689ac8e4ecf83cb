"""What a service is told by its environment, and how a setting that makes no sense is refused."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from chatkit.contract.v1 import limit_pb2
from pydantic import ValidationError

from services.edge.settings import EdgeSettings
from services.files.settings import FilesSettings
from services.runtime.settings import Settings, read_settings, read_settings_of, secret_settings
from tests.support.settings import SETTINGS


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHATKIT_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("kind", SETTINGS.values())
def test_every_setting_has_a_default_so_that_a_new_version_runs_beside_an_old_ones_environment(
    kind: type[Settings],
) -> None:
    assert read_settings_of(kind) == kind()


def test_what_holds_where_nothing_is_told() -> None:
    settings = read_settings()
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


@pytest.mark.parametrize(
    ("process", "name", "value"),
    [
        ("users", "CHATKIT_PRESENCE_RENEWAL_INTERVAL_SECONDS", "5"),
        ("messages", "CHATKIT_HEADS_POLL_INTERVAL_SECONDS", "0"),
        ("rooms", "CHATKIT_USER_STATE_BYTES", "some"),
        ("files", "CHATKIT_FILE_URL_LIFETIME_SECONDS", "0.5"),
        ("edge", "CHATKIT_EDGE_HEAP_MEGABYTES", "1"),
    ],
)
def test_a_setting_of_one_process_that_makes_no_sense_is_refused_by_that_process_alone(
    monkeypatch: pytest.MonkeyPatch, process: str, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for told, kind in SETTINGS.items():
        if told != process:
            read_settings_of(kind)
    with pytest.raises(ValueError, match=f"^{name}: [^\n]*{value}'$"):
        read_settings_of(SETTINGS[process])


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


_SECRETS = ["DATABASE_PASSWORD", "MIGRATE_DATABASE_PASSWORD", "NATS_PASSWORD", "DATABASE_URL", "MIGRATE_DATABASE_URL"]
_SECRETS += ["S3_SECRET_ACCESS_KEY", "NATS_URL"]


def test_every_secret_can_be_a_file() -> None:
    assert sorted(secret_settings(FilesSettings)) == sorted(name.lower() for name in _SECRETS)
    for kind in SETTINGS.values():
        assert {*secret_settings(kind)} <= {*secret_settings(FilesSettings)}


@pytest.mark.parametrize("name", _SECRETS)
def test_a_secret_is_read_from_its_file_without_the_line_break_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(" hush, \\1 of @/: \n")
    monkeypatch.setenv(f"CHATKIT_{name}_FILE", str(file))
    assert getattr(read_settings_of(FilesSettings), name.lower()).get_secret_value() == " hush, \\1 of @/: "
    monkeypatch.setenv(f"CHATKIT_{name}", "hush")
    with pytest.raises(ValueError, match=f"^CHATKIT_{name} and CHATKIT_{name}_FILE are both set") as caught:
        read_settings_of(FilesSettings)
    monkeypatch.setenv(f"CHATKIT_{name}", "")
    monkeypatch.setenv(f"CHATKIT_{name}_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=rf"^CHATKIT_{name}_FILE, .*/nowhere, can't be read: No such file"):
        read_settings_of(FilesSettings)
    file.write_bytes(b"\xff hush")
    monkeypatch.setenv(f"CHATKIT_{name}_FILE", str(file))
    with pytest.raises(ValueError, match="it is no text") as unreadable:
        read_settings_of(FilesSettings)
    assert "hush" not in f"{caught.value}{unreadable.value}"


@pytest.mark.parametrize(
    ("name", "url", "whole"),
    [
        (
            "DATABASE",
            "postgresql://chatkit_users@db:5432/chatkit",
            "postgresql://chatkit_users:p%40%2F%3A%5C1@db:5432/chatkit",
        ),
        (
            "MIGRATE_DATABASE",
            "postgresql://u@h1,h2/d?sslmode=require",
            "postgresql://u:p%40%2F%3A%5C1@h1,h2/d?sslmode=require",
        ),
        ("NATS", "tls://users@n1:4222,tls://n2", "tls://users:p%40%2F%3A%5C1@n1:4222,tls://n2"),
        ("NATS", "", ""),
    ],
)
def test_a_password_goes_into_the_url_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, url: str, whole: str
) -> None:
    (tmp_path / "password").write_text("p@/:\\1\n")
    monkeypatch.setenv(f"CHATKIT_{name}_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv(f"CHATKIT_{name}_URL", url)
    assert getattr(read_settings(), f"{name.lower()}_url").get_secret_value() == whole


@pytest.mark.parametrize("url", ["postgresql://u:hush@h/d", "postgresql://h/hush", "hush", "postgresql://@h/hush"])
def test_a_password_that_has_no_place_in_its_url_is_refused_without_showing_either(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("CHATKIT_DATABASE_URL", url)
    monkeypatch.setenv("CHATKIT_DATABASE_PASSWORD", "hush too")
    with pytest.raises(ValueError, match=r"CHATKIT_DATABASE_URL: .*must name a user and no password") as caught:
        read_settings()
    assert "hush" not in str(caught.value)
