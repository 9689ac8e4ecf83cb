"""The edge with one rule taken out of its rendering, to show that the rule is what refuses: `python -m … RULE`."""

import sys
from collections.abc import Callable
from typing import Any

from services.edge import process
from services.edge.deployment import Deployment
from services.edge.rendering import json_fields, rates, route_parts, routes, screening, sizes, tokens
from services.edge.rendering.bootstrap import configuration
from services.runtime.contract.policies import Limits

Json = dict[str, Any]


def manager(rendered: Json) -> Json:
    """Return the public listener's connection manager."""
    found: Json = rendered["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def all_routes(rendered: Json) -> list[Json]:
    """Return the public routes in their order."""
    (host,) = manager(rendered)["route_config"]["virtual_hosts"]
    found: list[Json] = host["routes"]
    return found


def _without_filters(*names: str) -> Callable[[Json], None]:
    def change(rendered: Json) -> None:
        kept = [item for item in manager(rendered)["http_filters"] if not item["name"].startswith(names)]
        assert len(kept) < len(manager(rendered)["http_filters"])
        manager(rendered)["http_filters"] = kept
        for route in all_routes(rendered):
            configs = route.get("typed_per_filter_config", {})
            route["typed_per_filter_config"] = {
                name: config for name, config in configs.items() if not name.startswith(names)
            }

    return change


def _route_everything(rendered: Json) -> None:
    everything = {"match": {"prefix": "/chatkit.internal."}, "route": {"cluster": "rooms"}}
    all_routes(rendered).insert(0, everything)


def _no_deadlines(rendered: Json) -> None:
    """Leave none but the client's own, which Envoy regards where it has a largest one; 0 is any."""
    for route in all_routes(rendered):
        if "max_stream_duration" in route.get("route", {}):
            bounds = dict.fromkeys(route["route"]["max_stream_duration"], "0s")
            route["route"].update(timeout="0s", max_stream_duration=bounds)


def _short_deadlines(rendered: Json) -> None:
    """Keep the rule and make it act within a test's patience; what it says is compared in test_rendering."""
    for route in all_routes(rendered):
        if "max_stream_duration" in route.get("route", {}):
            bounds = dict.fromkeys(route["route"]["max_stream_duration"], "0.5s")
            route["route"].update(timeout="0.5s", max_stream_duration=bounds)


def _any_number_of_streams(rendered: Json) -> None:
    del manager(rendered)["http2_protocol_options"]["max_concurrent_streams"]


def _no_refills(rendered: Json) -> None:
    """Keep the rule of rates, and let no time be enough to get more."""
    (counting,) = [item for item in manager(rendered)["http_filters"] if item["name"] == rates.RATE_FILTER]
    for descriptor in counting["typed_config"]["descriptors"]:
        descriptor["token_bucket"]["fill_interval"] = "86400s"


def _any_headers(rendered: Json) -> None:
    manager(rendered)["max_request_headers_kb"] = 8192


def _any_status(rendered: Json) -> None:
    """Let Envoy answer by itself with each status that HTTP has for errors: `POST /status/404`."""
    for status in range(400, 600):
        route = {"match": {"path": f"/status/{status}"}, "direct_response": {"status": status}}
        all_routes(rendered).insert(0, {**route, "typed_per_filter_config": route_parts.for_anyone()})


RULES: dict[str, Callable[[Json], None]] = {
    "tokens": _without_filters(tokens.JWT_FILTER, tokens.CLAIMS_FILTER),
    "claims": _without_filters(tokens.CLAIMS_FILTER),
    "rates": _without_filters(rates.RATE_FILTER),
    "refills": _no_refills,
    # What screens a message holds it back, too.
    "sizes": _without_filters(sizes.COUNT_FILTER, sizes.BUFFER_FILTER, screening.SCREEN_FILTER),
    "screening": _without_filters(screening.SCREEN_FILTER),
    "json": _without_filters(json_fields.JSON_FILTER),
    "routes": _route_everything,
    "deadlines": _no_deadlines,
    "short deadlines": _short_deadlines,
    "streams": _any_number_of_streams,
    "headers": _any_headers,
    "any status": _any_status,
    "cors": _without_filters(routes.CORS_FILTER),
}


def main(rule: str) -> int:
    """Run the edge without the rule."""

    def changed(deployment: Deployment, limits: Limits) -> Json:
        rendered = configuration(deployment, limits)
        RULES[rule](rendered)
        return rendered

    process.configuration = changed  # type: ignore[attr-defined]
    return process.main(["serve"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
