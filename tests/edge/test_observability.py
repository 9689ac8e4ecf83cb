"""What the edge tells of itself: a line per call, and figures; and what it does not tell."""

import json
from pathlib import Path
from typing import Any

import httpx

from services.runtime.release import Release
from services.stack.releases import edge_release
from tests.edge.calling import GET, Call, refused
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.eventually import eventually, until
from tests.support.figures import figures_of
from tests.support.suite import Suite

_FIELDS = {
    "event",
    "time",
    "method",
    "status",
    "grpc_status",
    "flags",
    "details",
    "bytes_received",
    "bytes_sent",
    "duration_ms",
    "request_id",
    "trace_id",
    "upstream",
    "version",
}


def _lines(edge: Edge, method: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "call" and line["method"] == method]


async def test_every_call_is_a_line_without_token_query_or_body(edge: Edge) -> None:
    token = tokens.token("alice")
    assert await Call(token=lambda: token).by("grpc", edge) is None
    answer = await edge.json(f"{GET}?secret=in-the-query", {"userId": "in-the-body"}, token, cookie="in-the-cookie")
    assert answer.status_code == 400
    # Envoy's own log would tell of these, and of the query.
    long = b"x" * 100_000
    refusals = {
        "REQUEST_TOO_LARGE": Call(body=long, token=lambda: token),
        "REQUEST_MALFORMED": Call(path=f"{GET}?secret=in-the-query", body=long, token=lambda: token),
    }
    for reason, call in refusals.items():
        for face in ("grpc", "grpc-web"):
            told = await call.by(face, edge)
            assert told is not None
            assert told.error.reason == reason
    await refused(edge, Call(path="/nothing/Here", token=lambda: None), "METHOD_NOT_FOUND")
    await eventually(lambda: len(_lines(edge, "/nothing/Here")) == 3)
    lines = _lines(edge, GET)
    assert all(line.keys() == _FIELDS for line in lines)
    ok = lines[0]
    assert (ok["status"], ok["grpc_status"], ok["flags"]) == (200, "OK", "-")
    assert ok["upstream"] == edge.suite.servers["users"].address
    assert ok["bytes_received"] > 0
    assert ok["request_id"]
    for unsaid in (token, token.rpartition(".")[2], "in-the-query", "in-the-body", "in-the-cookie"):
        assert unsaid not in edge.log


async def test_an_answer_names_the_request_that_the_log_has(edge: Edge) -> None:
    answer = await edge.json(GET, {"userId": "bob"}, tokens.token("alice"), **{"x-request-id": "chosen-by-the-client"})
    named = answer.headers["x-request-id"]
    assert named != "chosen-by-the-client"
    await eventually(lambda: [line for line in _lines(edge, GET) if line["request_id"] == named])


async def test_prometheus_finds_figures_and_nothing_else(edge: Edge) -> None:
    assert await Call().by("grpc", edge) is None
    async with httpx.AsyncClient(base_url=f"http://{edge.metrics_address}", trust_env=False) as http:
        figures = await http.get("/stats/prometheus")
        assert figures.status_code == 200
        assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="users"}' in figures.text
        assert "envoy_cluster_upstream_rq_total" in (await http.get("/metrics")).text
        for path in ("/", "/stats", "/config_dump", "/quitquitquit", "/stats/prometheus/", "/stats/../config_dump"):
            assert (await http.get(path)).status_code == 404, path
        # A question could make the answer costly.
        for path in ("/stats/prometheus", "/metrics"):
            assert (await http.get(f"{path}?filter=.*")).status_code == 404
        for method in ("POST", "PUT", "DELETE"):
            assert (await http.request(method, "/stats/prometheus")).status_code == 404
    for path in ("/stats/prometheus", "/stats", "/config_dump"):
        assert (await edge.http.get(path)).status_code == 404


async def test_calls_are_counted_by_method_and_the_code_of_grpc(edge: Edge) -> None:
    token = tokens.token("alice")
    assert await Call(token=lambda: token).by("grpc", edge) is None
    for user_id, status in (("bob", 200), ("nobody", 404)):
        assert (await edge.json(GET, {"userId": user_id}, token)).status_code == status
    figures = await figures_of(edge.metrics_address)
    service, _, method = GET.strip("/").partition("/")
    of_method = {"grpc_service": service, "grpc_method": method}
    assert figures("envoy_cluster_grpc_0_total", envoy_cluster_name="users", **of_method) == 2
    assert figures("envoy_cluster_grpc_5_total", envoy_cluster_name="users", **of_method) == 1

    async def is_timed() -> bool:
        # Envoy sums times up every few seconds.
        timed = await figures_of(edge.metrics_address)
        return timed("envoy_cluster_grpc_upstream_rq_time_count", envoy_cluster_name="users", **of_method) == 3

    await until(is_timed)


async def test_the_edge_says_which_release_it_is_of(suite: Suite, short_path: Path) -> None:
    commit = "93ec10e5d2aa4d2b8c0e8f7b6a5d4c3b2a190807"
    async with running_edge(suite, short_path, CHATKIT_COMMIT=commit) as edge:
        for path in ("/", "/health"):
            told = (await edge.http.get(path)).json()
            assert (told["version"], told["commit"]) == (Release().version, commit)
        assert await edge_release(edge.address) == Release(commit).label
        await eventually(lambda: _lines(edge, "/health"))
        assert _lines(edge, "/health")[0]["version"] == Release(commit).label
    async with running_edge(suite, short_path, CHATKIT_COMMIT="") as edge:
        assert "commit" not in (await edge.http.get("/")).json()
