"""The configuration follows the contract, has no secrets, and is one that Envoy takes."""

import asyncio
from pathlib import Path
from typing import Any

import yaml
from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2
from google.protobuf import descriptor_pb2

from services.edge import envoy, public
from services.edge.process import write
from services.edge.refusals import REFUSALS
from services.edge.render import EXAMPLE, Addresses, configuration, to_yaml
from services.runtime.contract import Limits, methods_of

_CHECKED_IN = Path(__file__).parents[2] / "services" / "edge" / "envoy.yaml"


def _manager(rendered: dict[str, Any]) -> dict[str, Any]:
    (listener,) = rendered["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    return dict(manager["typed_config"])


def _routes(rendered: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (host,) = _manager(rendered)["route_config"]["virtual_hosts"]
    return {route["match"]["path"]: route for route in host["routes"]}


def test_the_rendering_that_is_checked_in_is_what_the_contract_gives() -> None:
    assert _CHECKED_IN.read_text() == to_yaml(configuration(EXAMPLE, Limits())), (
        "run: .venv/bin/python -m services.edge print > services/edge/envoy.yaml"
    )
    assert yaml.safe_load(_CHECKED_IN.read_text()) == configuration(EXAMPLE, Limits())


def test_every_method_for_clients_has_a_route_and_no_other_has_one() -> None:
    routes = _routes(configuration(EXAMPLE, Limits()))
    expected = {
        method.path
        for _, service in public.services()
        for method in methods_of(service)
        if method.policy.audience in {method_policy_pb2.AUDIENCE_USER, method_policy_pb2.AUDIENCE_SUPERUSER}
    }
    assert set(routes) == expected | {"/", "/descriptor.binpb"}
    assert not [path for path in routes if "internal" in path]
    assert methods_of(access_service_pb2.DESCRIPTOR.services_by_name["AccessService"])[0].path not in routes


def test_deadlines_and_sizes_are_those_of_the_options_and_of_the_deployment() -> None:
    limits = Limits({"REQUEST_BYTES": 1000})
    routes = _routes(configuration(EXAMPLE, limits))
    for cluster, method in public.methods():
        route = routes[method.path]
        assert route["route"]["cluster"] == cluster
        assert float(route["route"]["timeout"].removesuffix("s")) == (
            0 if method.streams else method.policy.deadline_ms / 1000 + 0.5
        )
        buffer = route["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"]
        assert buffer["max_request_bytes"] == limits[method.policy.request_bytes] + 5


def test_a_list_of_addresses_becomes_endpoints(tmp_path: Path) -> None:
    upstreams = {"users": ["a:1", "b:2"], "rooms": ["c:3"], "messages": ["[::1]:4"]}
    clusters = configuration(Addresses("127.0.0.1:1", tmp_path, upstreams), Limits())["static_resources"]["clusters"]
    found = {
        cluster["name"]: [
            tuple(endpoint["endpoint"]["address"]["socket_address"].values())
            for endpoint in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        ]
        for cluster in clusters
    }
    assert found == {"users": [("a", 1), ("b", 2)], "rooms": [("c", 3)], "messages": [("::1", 4)]}


def test_the_descriptor_set_is_whole_and_has_nothing_of_between_the_services() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(public.descriptor_set()).file
    seen: set[str] = set()
    for file in files:
        assert seen.issuperset(file.dependency), f"{file.name} comes before what it imports"
        seen.add(file.name)
    assert {"google/rpc/status.proto", "google/rpc/error_details.proto"} <= seen
    assert not [name for name in seen if "internal" in name]


def test_what_envoy_refuses_by_itself_are_errors_of_the_contract() -> None:
    for refusal in REFUSALS:
        assert refusal.error().reason == refusal.reason


async def test_envoy_takes_the_rendering(tmp_path: Path) -> None:
    addresses = Addresses("127.0.0.1:8080", tmp_path / "run", EXAMPLE.upstreams)
    command = envoy.command(write(addresses, Limits()), concurrency=1)
    process = await asyncio.create_subprocess_exec(*command, "--mode", "validate", stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
