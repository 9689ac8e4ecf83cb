"""The Collector as a component: it is added to the suite, processes reach it, and nothing else changes."""

import kubernetes_validate
import pytest

from tests.deploy.compose import ROOT
from tests.deploy.faults import PROCESSES
from tests.deploy.kubernetes import policies
from tests.deploy.kubernetes.faults import faults
from tests.deploy.kubernetes.folder import FOLDER, copy_of
from tests.deploy.kubernetes.kustomize import Json, build, find
from tests.deploy.kubernetes.workloads import Workload, workloads

_PORT = 4317
_ADDRESS = f"http://collector:{_PORT}"
_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(scope="module", params=["base", "production"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """Build the suite with the component, and with the jobs that run before it."""
    folder = copy_of(tmp_path_factory.mktemp("kubernetes"))
    told = folder / request.param / "kustomization.yaml"
    lines = told.read_text()
    with_it = lines.replace("components: [../settings]", "components: [../settings, ../collector]")
    told.write_text(with_it if with_it != lines else f"{lines}components: [../collector]\n")
    return [*build(folder / request.param), *(one for one in build(folder / "jobs") if one["kind"] == "Job")]


def _collector(objects: list[Json]) -> Workload:
    return Workload(find(objects, "Deployment", "collector"), objects)


def test_all_processes_are_told_where_it_is_and_it_listens_there(objects: list[Json]) -> None:
    told = {pod.name for pod in workloads(objects) if pod.environment().get(_VARIABLE) == _ADDRESS}
    assert told >= set(PROCESSES)
    collector = _collector(objects)
    assert collector.environment()["COLLECTOR_LISTEN"] == f"0.0.0.0:{_PORT}"
    assert collector.ports == {"otlp": _PORT}
    spec = find(objects, "Service", "collector")["spec"]
    assert policies.selects({"matchLabels": spec["selector"]}, collector.labels)
    assert spec["ports"] == [{"name": "otlp", "port": _PORT, "targetPort": "otlp"}]


def test_its_configuration_is_the_one_of_the_folder_beside(objects: list[Json]) -> None:
    collector = _collector(objects)
    path = collector.container["args"][1]
    assert collector.files()[path] == (ROOT / "operations" / "collector" / "collector.yaml").read_text()
    assert (ROOT / FOLDER / "collector" / "collector.yaml").read_text() == collector.files()[path]


def test_processes_reach_it_and_it_alone_reaches_what_keeps_traces(objects: list[Json]) -> None:
    rules = [one for one in objects if one["kind"] == "NetworkPolicy"]
    made = workloads(objects)
    reached = {allowed for allowed in policies.inside(rules, made) if "collector" in allowed[:2]}
    assert reached == {(name, "collector", _PORT) for name in PROCESSES}
    out = {allowed for allowed in policies.outside(rules, made, "Egress") if allowed[2] == _PORT}
    assert out == {("collector", policies.ANYWHERE, _PORT)}


def test_the_rest_is_as_without_it(objects: list[Json]) -> None:
    others = [one for one in objects if one["metadata"]["name"] != "collector"]
    assert faults(others) == []
    security = _collector(objects).container["securityContext"]
    assert security == Workload(find(objects, "Deployment", "nats"), objects).container["securityContext"]


def test_kubernetes_knows_its_objects(objects: list[Json]) -> None:
    for one in objects:
        if "collector" in one["metadata"]["name"]:
            kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
