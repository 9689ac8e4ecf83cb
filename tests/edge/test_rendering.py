"""The configuration follows the contract, has no secrets, and is one that Envoy takes."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from services.edge import envoy, public
from services.edge.console import ASSETS
from services.edge.deployment import EXAMPLE
from services.edge.process import write
from services.edge.rendering.bootstrap import configuration, to_yaml
from services.edge.rendering.docs import path_of
from services.edge.rendering.refusals import refusals
from services.runtime.contract.policies import Limits, limit_name, methods_of
from tests.support.edge_without import RULES, all_routes, manager

_CHECKED_IN = Path(__file__).parents[2] / "services" / "edge" / "envoy.yaml"


_METHODS = {method.path for _, method in public.methods()}


def _routes(rendered: dict[str, Any]) -> dict[str, dict[str, Any]]:
    statuses = {404, 405}
    routes = all_routes(rendered)
    answering = [route for route in routes if route.get("direct_response", {}).get("status") not in statuses]
    return {route["match"].get("path") or route["match"]["prefix"]: route for route in answering}


def _calls(rendered: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the routes of methods."""
    return [(path, route) for path, route in _routes(rendered).items() if path in _METHODS]


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
    assert set(routes) == expected | {
        "/",
        "/health",
        "/descriptor.binpb",
        "/openapi.json",
        *map(path_of, public.DOCS),
        *(asset.path for asset in ASSETS),
        "/files/",
        "/chatkit.",
        *public.REFLECTION_PATHS,
    }
    assert not [path for path in routes if "internal" in path]
    assert methods_of(access_service_pb2.DESCRIPTOR.services_by_name["AccessService"])[0].path not in routes


def test_deadlines_and_sizes_are_those_of_the_options_and_of_the_deployment() -> None:
    limits = Limits({"REQUEST_BYTES": 1000})
    rendered = configuration(EXAMPLE, limits)
    filters = {item["name"]: item for item in manager(rendered)["http_filters"]}
    for cluster, method in public.methods():
        route = _routes(rendered)[method.path]
        assert route["route"]["cluster"] == cluster
        seconds = 0 if method.streams else method.policy.deadline_ms / 1000 + 0.5
        bounds = {route["route"]["timeout"], *route["route"].get("max_stream_duration", {}).values()}
        assert bounds == {f"{seconds:g}s"}
        if method.streams_requests:
            # Each of its requests is bounded by the service, and all of them together by what was declared.
            assert route["typed_per_filter_config"]["envoy.filters.http.buffer"]["disabled"]
            continue
        most = limits[method.policy.request_bytes] + 5
        buffer = route["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"]
        # JSON of the message is held back before it, and is twice as long at the most.
        assert most <= buffer["max_request_bytes"] <= max(most, 2 * (most - 5))
        name = limit_name(method.policy.request_bytes)
        is_superusers = method.policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER
        most_json = 2 * limits[method.policy.request_bytes] if is_superusers else min(2 * (most - 5), 524_288)
        in_json = f"envoy.filters.http.body_size_limit.json.{most_json}"
        assert in_json in route["typed_per_filter_config"]
        assert filters[in_json]["typed_config"]["max_request_bytes"] == most_json
        counter = f"envoy.filters.http.body_size_limit.{name}"
        assert counter in route["typed_per_filter_config"]
        assert filters[counter]["typed_config"]["max_request_bytes"] == most


def test_what_bounds_a_user_and_a_connection_are_the_limits() -> None:
    limits = Limits(
        {
            "REQUESTS_PER_USER_PER_SECOND": 7,
            "SENDS_PER_USER_PER_SECOND": 3,
            "STREAMS_PER_CONNECTION": 5,
            "HEADERS_BYTES": 5_000,
        }
    )
    rendered = configuration(EXAMPLE, limits)
    rates = next(item for item in manager(rendered)["http_filters"] if item["name"].endswith("local_ratelimit"))
    buckets = {
        descriptor["entries"][0]["value"]: descriptor["token_bucket"]
        for descriptor in rates["typed_config"]["descriptors"]
    }
    assert buckets == {
        "REQUESTS_PER_USER_PER_SECOND": {"max_tokens": 14, "tokens_per_fill": 7, "fill_interval": "1s"},
        "SENDS_PER_USER_PER_SECOND": {"max_tokens": 6, "tokens_per_fill": 3, "fill_interval": "1s"},
    }
    assert manager(rendered)["http2_protocol_options"]["max_concurrent_streams"] == 5
    # A client that is gone without a word is noticed, so that its user does not stay online.
    assert manager(rendered)["http2_protocol_options"]["connection_keepalive"] == {"interval": "20s", "timeout": "20s"}
    assert manager(rendered)["max_request_headers_kb"] == 5
    classes = {path: route["metadata"]["filter_metadata"]["chatkit"]["rate"] for path, route in _calls(rendered)}
    assert {path for path, name in classes.items() if name == "SENDS_PER_USER_PER_SECOND"} == {
        "/chatkit.messages.v1.MessagesService/SendMessage",
        "/chatkit.messages.v1.MessagesService/SendMessages",
        "/chatkit.messages.v1.MessagesService/EditMessage",
    }


def test_more_streams_than_a_service_has_can_not_empty_the_window_that_all_share() -> None:
    limits, clusters = Limits(), configuration(EXAMPLE, Limits())["static_resources"]["clusters"]
    for cluster in clusters:
        if cluster["name"] in public.CLUSTERS:
            (options,) = cluster["typed_extension_protocol_options"].values()
            http2 = options["explicit_http_config"]["http2_protocol_options"]
            streams = limits[limit_pb2.LIMIT_STREAMS_PER_PROCESS]
            assert streams * http2["initial_stream_window_size"] < http2["initial_connection_window_size"]


def test_only_what_may_be_repeated_is_retried_and_only_before_it_reached_a_service() -> None:
    routes = _routes(configuration(EXAMPLE, Limits()))
    for _, method in public.methods():
        policy = routes[method.path]["route"].get("retry_policy")
        assert (policy is not None) == method.policy.repeatable, method.path
        if policy is not None:
            assert set(policy["retry_on"].split(",")) == {"connect-failure", "refused-stream", "reset-before-request"}


def test_no_route_of_a_method_does_without_a_rule() -> None:
    rendered = configuration(EXAMPLE, Limits())
    names = {item["name"] for item in manager(rendered)["http_filters"] if not item.get("disabled")}
    assert {"envoy.filters.http.jwt_authn", "envoy.filters.http.rbac", "envoy.filters.http.local_ratelimit"} <= names
    in_frames = {method.path for _, method in public.methods() if method.streams_requests}
    streams = {method.path for _, method in public.methods() if method.streams}
    for path, route in _calls(rendered):
        without = {name for name, config in route["typed_per_filter_config"].items() if config.get("disabled")}
        # What is held back until it is whole, or worth compressing, would be no stream.
        held_back = {"envoy.filters.http.buffer"} if path in in_frames else set()
        compressed = {"envoy.filters.http.compressor"} if path in streams else set()
        assert without == held_back | compressed, path


def test_content_needs_no_token_and_is_counted_but_not_held_back() -> None:
    rendered = configuration(EXAMPLE, Limits({"FILE_BYTES": 1000}))
    route = _routes(rendered)["/files/"]
    assert route["route"]["cluster"] == "files_http"
    assert route["match"]["headers"][0]["string_match"]["safe_regex"]["regex"] == "GET|HEAD|PUT"
    configs = route["typed_per_filter_config"]
    tokens_and_rates = {f"envoy.filters.http.{name}" for name in ("jwt_authn", "rbac", "local_ratelimit")}
    assert {name for name, config in configs.items() if config.get("disabled")} == {
        *tokens_and_rates,
        "envoy.filters.http.buffer",
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.filters.http.lua",
        "envoy.filters.http.lua.json",
        # Content may be of any type, also of one that makes other requests calls.
        "envoy.filters.http.grpc_web",
        "envoy.filters.http.compressor",
    }
    filters = {item["name"]: item for item in manager(rendered)["http_filters"]}
    counter = "envoy.filters.http.body_size_limit.FILE_BYTES"
    assert counter in configs
    assert filters[counter]["typed_config"]["max_request_bytes"] == 1000 + 64 * 1024 * 1024
    # The slowest upload has this long, and nothing that may take longer comes before it.
    assert manager(rendered)["request_timeout"] == "600.5s"


def test_only_failures_to_reach_a_replica_eject_it() -> None:
    for cluster in configuration(EXAMPLE, Limits())["static_resources"]["clusters"]:
        if cluster["name"] in public.CLUSTERS:
            detection = cluster["outlier_detection"]
            assert detection["split_external_local_origin_errors"] is True
            enforced = {name for name, value in detection.items() if name.startswith("enforcing") and value}
            assert enforced == {"enforcing_consecutive_local_origin_failure"}
            assert min(cluster["circuit_breakers"]["thresholds"][0].values()) >= 100_000


def test_a_list_of_addresses_becomes_endpoints() -> None:
    upstreams = {
        "users": ["a:1", "b:2"],
        "rooms": ["c:3"],
        "messages": ["[::1]:4"],
        "files": ["d:5"],
        "files_http": ["d:6"],
    }
    rendered = configuration(replace(EXAMPLE, upstreams=upstreams), Limits())
    found = {
        cluster["name"]: [
            tuple(endpoint["endpoint"]["address"]["socket_address"].values())
            for endpoint in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        ]
        for cluster in rendered["static_resources"]["clusters"]
        if cluster["name"] in upstreams
    }
    assert found == {
        "users": [("a", 1), ("b", 2)],
        "rooms": [("c", 3)],
        "messages": [("::1", 4)],
        "files": [("d", 5)],
        "files_http": [("d", 6)],
    }


def test_the_descriptor_set_is_whole_and_has_nothing_of_between_the_services() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(public.descriptor_set()).file
    seen: set[str] = set()
    for file in files:
        assert seen.issuperset(file.dependency), f"{file.name} comes before what it imports"
        seen.add(file.name)
    assert {"google/rpc/status.proto", "google/rpc/error_details.proto"} <= seen
    assert not [name for name in seen if "internal" in name]


def test_the_descriptor_set_has_the_comments_of_what_the_services_run_with() -> None:
    contract = descriptor_pb2.FileDescriptorSet.FromString(public.descriptor_set())
    for file in contract.file:
        if file.name.startswith("chatkit/"):
            loaded = descriptor_pb2.FileDescriptorProto()
            descriptor_pool.Default().FindFileByName(file.name).CopyToProto(loaded)
            assert file.source_code_info.location, file.name
            file.ClearField("source_code_info")
            # Generated code leaves out how JSON spells a field.
            assert re.sub(r" *json_name: .*\n", "", str(file)) == str(loaded), file.name
    served = {service.file.name for _, service in public.services()}
    assert {file.name for file in contract.file if file.service} == served


def test_what_envoy_refuses_by_itself_are_errors_of_the_contract() -> None:
    for refusal in refusals(Limits()):
        assert refusal.error().reason == refusal.reason


def test_a_rule_that_is_taken_out_changes_the_rendering() -> None:
    """Else the tests that show what a rule is good for would show nothing."""
    deployment = replace(EXAMPLE, cors_origins=("https://chat.example",))
    whole = configuration(deployment, Limits())
    for rule, take_out in RULES.items():
        rendered = configuration(deployment, Limits())
        take_out(rendered)
        assert rendered != whole, rule


@pytest.mark.parametrize("rule", ["", *RULES])
async def test_envoy_takes_the_rendering(tmp_path: Path, rule: str) -> None:
    deployment = replace(EXAMPLE, run_folder=tmp_path / "run", cors_origins=("https://chat.example", "*"))
    path = write(deployment, Limits())
    if rule:
        rendered = configuration(deployment, Limits())
        RULES[rule](rendered)
        path.write_text(json.dumps(rendered))
    refused = await envoy.refusal(path)
    assert refused == ""
