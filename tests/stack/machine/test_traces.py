"""Who is told where spans go when the suite runs on one machine."""

from pathlib import Path

import pytest

from services.stack.home import Home
from services.stack.machine.processes import Program, edge_program, service_programs
from services.stack.machine.replicas import ONE_OF_EACH
from services.stack.machine.up import Stack

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def _programs(folder: Path, *, keeps_traces: bool) -> list[Program]:
    home = Home(folder)
    home.prepare()
    stack = Stack(home, 0, ONE_OF_EACH, pytest.fail, keeps_traces=keeps_traces)
    stack.release()
    return [edge_program(stack._plan, "/run"), *service_programs(stack._plan)]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (_ENDPOINT, "OTEL_RESOURCE_ATTRIBUTES", "CHATKIT_TRACE_PERCENT"):
        monkeypatch.delenv(name, raising=False)


def test_every_process_is_told_of_the_receiver_and_what_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=here")
    programs = _programs(tmp_path, keeps_traces=True)
    (endpoint,) = {program.environment[_ENDPOINT] for program in programs}
    assert endpoint.startswith("http://127.0.0.1:")
    assert {program.environment["CHATKIT_TRACE_PERCENT"] for program in programs} == {"100"}
    for program in programs:
        said = program.environment["OTEL_RESOURCE_ATTRIBUTES"]
        assert said == f"host.name=here,service.instance.id={program.name}"


def test_who_is_named_by_the_environment_gets_the_share_that_production_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_ENDPOINT, "http://collector:4317")
    for program in _programs(tmp_path, keeps_traces=True):
        assert program.environment[_ENDPOINT] == "http://collector:4317"
        assert "CHATKIT_TRACE_PERCENT" not in program.environment


def test_a_share_that_the_environment_names_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_TRACE_PERCENT", "3")
    programs = _programs(tmp_path, keeps_traces=True)
    assert {program.environment["CHATKIT_TRACE_PERCENT"] for program in programs} == {"3"}


def test_a_suite_that_is_measured_takes_no_spans(tmp_path: Path) -> None:
    for program in _programs(tmp_path, keeps_traces=False):
        assert _ENDPOINT not in program.environment
