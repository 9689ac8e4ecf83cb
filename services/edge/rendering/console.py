"""The routes of the web console: its page at `/` for whoever asks for HTML, and the files that the page names."""

from services.edge.console import ASSETS, PAGE, Asset
from services.edge.deployment import Deployment
from services.edge.rendering.parts import Json
from services.edge.rendering.route_parts import OF_PAGES, other_verbs, page, response_header, takes

PAGE_PATH = "/"
# What is at a path of its own never changes.
_FOR_EVER = "public, max-age=31536000, immutable"


def page_route(deployment: Deployment) -> Json:
    """Return the route of the page, which goes before the one of those who ask for anything else."""
    headers = {
        "vary": "accept",
        "cache-control": "no-cache",
        "content-security-policy": policy(deployment),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        **_openers(deployment),
    }
    shown = page(PAGE_PATH, "text/html; charset=utf-8", {"filename": str(deployment.console_folder / PAGE)}, **headers)
    shown["match"]["headers"] += takes("accept", "text/html")
    return shown


def asset_routes(deployment: Deployment) -> list[Json]:
    """List the routes of what the page names."""
    return [route for asset in ASSETS for route in _asset(asset, deployment)]


def policy(deployment: Deployment) -> str:
    """Return what the page may do: it runs and shows its own files, and media and buckets of wherever users say."""
    # A page without TLS may send files to a bucket without TLS, as on one machine.
    buckets = "https:" if deployment.certificate is not None else "https: http:"
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob: https: http:",
        "media-src": "'self' blob: https: http:",
        "connect-src": f"'self' {buckets}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(("'self'", *deployment.hosts)),
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _openers(deployment: Deployment) -> Json:
    """Cut the page off from pages that open it, unless there are some that it asks for tokens."""
    return {} if deployment.hosts else {"cross-origin-opener-policy": "same-origin-allow-popups"}


def _asset(asset: Asset, deployment: Deployment) -> list[Json]:
    """Give it compressed to whoever takes that, and as it is to others."""
    zipped = _file(asset, deployment, asset.zipped_name)
    zipped["match"]["headers"] += takes("accept-encoding", "gzip")
    zipped["response_headers_to_add"].append(response_header("content-encoding", "gzip"))
    return [zipped, _file(asset, deployment, asset.name), other_verbs({"path": asset.path}, OF_PAGES)]


def _file(asset: Asset, deployment: Deployment, name: str) -> Json:
    headers = {"vary": "accept-encoding", "cache-control": _FOR_EVER, "x-content-type-options": "nosniff"}
    return page(asset.path, asset.content_type, {"filename": str(deployment.console_folder / name)}, **headers)
