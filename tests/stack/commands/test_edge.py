"""`chatkit edge`: what it prints, and what Envoy says of it."""

from pathlib import Path

import pytest
import yaml

from services.stack.cli import main
from tests.support.certificates import Authority

Captured = pytest.CaptureFixture[str]


def _edge(tmp_path: Path, action: str) -> int:
    return main(["edge", action, "--home", str(tmp_path)])


def test_where_nothing_runs_an_example_with_the_limits_in_force_is_printed(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_LIMIT_STREAMS_PER_CONNECTION", "77")
    assert _edge(tmp_path, "--print") == 0
    printed = capsys.readouterr().out
    assert "max_concurrent_streams: 77" in printed
    assert {cluster["name"] for cluster in yaml.safe_load(printed)["static_resources"]["clusters"]} >= {"users", "keys"}


def test_a_deployment_in_the_environment_is_printed_and_checked(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    certificate, key = authority.sign("edge").write(tmp_path, "edge")
    told = {
        "INSTANCE": "the one",
        "LISTEN": "127.0.0.1:8443",
        "USERS_ADDRESS": "127.0.0.1:1,127.0.0.1:2",
        "EDGE_TLS_CERTIFICATE_FILE": str(certificate),
        "EDGE_TLS_KEY_FILE": str(key),
        "TLS_CERTIFICATE_FILE": str(certificate),
        "TLS_KEY_FILE": str(key),
        "TLS_CA_FILE": str(authority.write_own(tmp_path)),
        "CORS_ORIGINS": "https://chat.example",
        "METRICS_LISTEN": "",
    }
    for name, value in told.items():
        monkeypatch.setenv(f"CHATKIT_{name}", value)
    assert _edge(tmp_path, "--print") == 0
    printed = capsys.readouterr().out
    assert "port_value: 8443" in printed
    assert "exact: the one" in printed
    assert _edge(tmp_path, "--check") == 0
    assert capsys.readouterr().out == "Envoy takes this configuration.\n"


def test_what_envoy_refuses_is_told_in_its_words_with_status_1(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_LIMIT_STREAMS_PER_CONNECTION", "3000000000")
    assert _edge(tmp_path, "--check") == 1
    printed = capsys.readouterr().out
    assert "MaxConcurrentStreams: value must be inside range" in printed
    assert len(printed) < 1_000


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"EDGE_TLS_KEY_FILE": "/nowhere"}, "go together"),
        ({"TLS_KEY_FILE": "/nowhere", "TLS_CERTIFICATE_FILE": "/nowhere"}, "CHATKIT_TLS_CA_FILE is missing"),
        ({"EDGE_TLS_KEY_FILE": "/nowhere", "EDGE_TLS_CERTIFICATE_FILE": "/nowhere"}, "are no certificate with its key"),
        ({"LISTEN": "nowhere"}, "is not host:port"),
        ({"CONCURRENCY": "0"}, "CHATKIT_CONCURRENCY"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_one_sentence(
    told: dict[str, str], sentence: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_INSTANCE", "the one")
    for name, value in told.items():
        monkeypatch.setenv(f"CHATKIT_{name}", value)
    assert _edge(tmp_path, "--check") == 1
    printed = capsys.readouterr().err
    assert printed.startswith("chatkit: ")
    assert sentence in printed
    assert printed.count("\n") == 1
