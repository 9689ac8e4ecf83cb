"""The Collector's configuration fits what processes send, and what compose and Kubernetes add fits it."""

import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from services.runtime.settings import Settings
from tests.deploy.compose import ENV_SAMPLE, NO_SECRETS, ROOT, load, read_env, sample, variables
from tests.deploy.faults import PROCESSES, faults

_CONFIGURATION = ROOT / "operations" / "collector" / "collector.yaml"
_OVERRIDE = ROOT / "compose" / "collector.yaml"
_TOLD = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")
_COLLECTOR = shutil.which("otelcol-contrib")
_LISTENS_AT = "COLLECTOR_LISTEN"


def _configuration() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(_CONFIGURATION.read_text())
    return read


def _told() -> dict[str, str]:
    """Return what the configuration takes from the environment, with what holds without it."""
    code = "\n".join(line for line in _CONFIGURATION.read_text().splitlines() if not line.startswith("#"))
    return dict(_TOLD.findall(code))


def test_pipelines_name_what_is_defined_and_all_of_it() -> None:
    told = _configuration()
    (pipeline,) = told["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == told[kind].keys()
    # A batch of what is then dropped would be made anew.
    assert pipeline["processors"] == ["memory_limiter", "tail_sampling", "attributes", "batch"]


def test_it_leaves_out_what_says_who_a_client_is() -> None:
    told = _configuration()["processors"]["attributes"]["actions"]
    assert {one["key"] for one in told if one["action"] == "delete"} == {"peer.address", "user_agent"}


def test_it_keeps_what_failed_and_what_the_log_calls_slow_and_waits_for_the_last_span() -> None:
    sampling = _configuration()["processors"]["tail_sampling"]
    kept = {policy["type"]: policy[policy["type"]] for policy in sampling["policies"]}
    assert kept["status_code"] == {"status_codes": ["ERROR"]}
    assert kept["latency"]["threshold_ms"] == Settings.model_fields["slow_call_seconds"].default * 1000
    assert int(sampling["decision_wait"].removesuffix("s")) > 10 + 5


def test_the_head_of_the_file_names_what_it_is_told() -> None:
    head = "".join(line for line in _CONFIGURATION.read_text().splitlines(keepends=True) if line.startswith("#"))
    named = re.findall(r"^# ([A-Z_]+)(?: \(([^)]*)\))? ", head, re.MULTILINE)
    assert dict(named) == _told()


def _with_collector(environ: dict[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = _merged(load(environ), load(environ, _OVERRIDE.read_text()))
    return merged


def _merged(base: Any, more: Any) -> Any:
    """Put a file over another one, as compose does with what stands in both."""
    if isinstance(base, dict) and isinstance(more, dict):
        both = {name: _merged(base[name], more[name]) for name in base.keys() & more.keys()}
        return {**base, **more, **both}
    return base + more if isinstance(base, list) else more


def test_compose_adds_it_and_changes_nothing_else() -> None:
    told = {**read_env(ENV_SAMPLE), "TRACES_ENDPOINT": "traces.example.com:4317"}
    merged = _with_collector(told)
    collector = merged["services"].pop("collector")
    assert collector["environment"].keys() == _told().keys()
    assert collector["environment"]["TRACES_ENDPOINT"] == told["TRACES_ENDPOINT"]
    for name in PROCESSES:
        part = merged["services"][name]
        endpoint = part["environment"].pop("OTEL_EXPORTER_OTLP_ENDPOINT")
        _, _, port = collector["environment"][_LISTENS_AT].rpartition(":")
        assert endpoint == f"http://collector:{port}"
        assert set(part["networks"]) & set(collector["networks"]) == {"inside"}
    # It goes out, and nobody else with it.
    assert merged["networks"].pop("traces") in ({}, None)
    assert faults(merged) == []
    assert merged == sample()
    ((source, target, _),) = (volume.split(":") for volume in collector["volumes"])
    assert (ROOT / source) == _CONFIGURATION
    assert collector["command"] == ["--config", target]
    limit = _configuration()["processors"]["memory_limiter"]["limit_mib"]
    assert limit < int(collector["deploy"]["resources"]["limits"]["memory"].removesuffix("M"))


def test_compose_says_what_is_missing() -> None:
    with pytest.raises(AssertionError, match="TRACES_ENDPOINT is not set"):
        _with_collector(read_env(ENV_SAMPLE))
    assert variables(_OVERRIDE.read_text()) == {"COLLECTOR_IMAGE", *_told()} - {_LISTENS_AT}
    assert variables(_OVERRIDE.read_text()) & NO_SECRETS == set()


@pytest.mark.skipif(_COLLECTOR is None, reason="otelcol-contrib is not on the PATH: OpenTelemetry's releases have it")
def test_the_collector_itself_takes_it() -> None:
    command = [str(_COLLECTOR), "validate", "--config", str(_CONFIGURATION)]
    told = {**os.environ, "TRACES_ENDPOINT": "127.0.0.1:4318"}
    ended = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
