"""The routes of what the edge answers itself to GET and HEAD, whoever asks: what it is, the contract, the reference."""

import json

from services.edge import public
from services.edge.deployment import Deployment
from services.edge.rendering.console import PAGE_PATH, asset_routes, page_route
from services.edge.rendering.docs import POLICY, path_of
from services.edge.rendering.parts import Json
from services.edge.rendering.rates import METADATA
from services.edge.rendering.route_parts import OF_PAGES, for_anyone, method_is_of, other_verbs, page
from services.runtime.contract.policies import Limits
from services.runtime.release import Release

# What Envoy's runtime says at 100 when the edge is about to end.
DRAINING = "chatkit.draining"
_ABOUT_PATH, _HEALTH_PATH, _CONTRACT_PATH, _OPENAPI_PATH = PAGE_PATH, "/health", "/descriptor.binpb", "/openapi.json"
_PAGES = (_ABOUT_PATH, _HEALTH_PATH, _CONTRACT_PATH, _OPENAPI_PATH, *map(path_of, public.DOCS))


def page_routes(deployment: Deployment, limits: Limits) -> list[Json]:
    """List them in the order in which they are tried."""
    release = Release(deployment.commit)
    health = _json({"status": "SERVING", **_said(release)})
    return [
        *(_draining(path) for path in (_ABOUT_PATH, _HEALTH_PATH)),
        page(_HEALTH_PATH, "application/json", {"inline_string": health}),
        *([page_route(deployment), *asset_routes(deployment)] if deployment.has_console else []),
        page(_ABOUT_PATH, "application/json", {"inline_string": _json(_about(release, limits))}, vary="accept"),
        page(_CONTRACT_PATH, "application/octet-stream", {"filename": str(deployment.descriptor)}),
        page(_OPENAPI_PATH, "application/json", {"filename": str(deployment.openapi)}),
        *(_docs(name, deployment) for name in public.DOCS),
        *(other_verbs({"path": path}, OF_PAGES) for path in _PAGES),
    ]


def _docs(name: str, deployment: Deployment) -> Json:
    """Show a document of the reference: with its style, and with nothing else that would be loaded or run."""
    headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    body = {"filename": str(deployment.docs / f"{name}.html")}
    return page(path_of(name), "text/html; charset=utf-8", body, **headers)


def _draining(path: str) -> Json:
    """Answer whoever asks how the edge is that it is about to end, once it is."""
    never = {"default_value": {"numerator": 0, "denominator": "HUNDRED"}, "runtime_key": DRAINING}
    return {
        "match": {"path": path, "headers": [method_is_of(OF_PAGES)], "runtime_fraction": never},
        "direct_response": {"status": 503},
        "metadata": {"filter_metadata": {METADATA: {DRAINING: "yes"}}},
        "typed_per_filter_config": for_anyone(),
    }


def _said(release: Release) -> Json:
    return {"version": release.version, **({"commit": release.commit} if release.commit else {})}


def _about(release: Release, limits: Limits) -> Json:
    names = ("name", "value", "unit", "description", "planned")
    return {
        "name": "chatkit",
        **_said(release),
        "limits": [{name: getattr(row, name) for name in names} for row in limits.rows],
    }


def _json(body: Json) -> str:
    return json.dumps(body, indent=2) + "\n"
