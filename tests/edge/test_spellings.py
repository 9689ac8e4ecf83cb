"""A method has one spelling. Whatever else Envoy might take for it reaches no service without a token.

Without a token nothing may be heard: what is, has gone past the token check, and past the rates, which a route switches
off together with it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.edge import public
from services.edge.deployment import EXAMPLE
from services.edge.rendering.bootstrap import configuration
from services.edge.rendering.rates import RATE_FILTER
from services.edge.rendering.route_parts import TRANSCODER_FILTER
from services.edge.rendering.tokens import CLAIMS_FILTER, JWT_FILTER
from services.runtime.contract.policies import Limits
from tests.edge.calling import GET, heard, unheard
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.edge_without import all_routes
from tests.support.suite import Suite

_SENT = b'{"userId": "bob"}'
_TYPES = ("application/json", "application/grpc", "application/grpc-web+proto", "text/plain", "")
_VERBS = ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def _spellings(path: str) -> Iterator[str]:
    """Yield other ways to write a method's path."""
    _, service, method = path.split("/")
    for end in (
        "/",
        "//",
        "/.",
        "/..",
        "/../" + method,
        ";a=b",
        "%2F",
        "%00",
        "%20",
        "?",
        "?userId=carol",
        "/?a=b",
        "#a",
        "\\",
    ):
        yield path + end
    for start in ("/", "/.", "/x/..", "/%2e", "/files/..", "/files/%2e%2e", "\\"):
        yield start + path
    yield f"/{service}//{method}"
    yield f"/{service}/./{method}"
    yield f"/{service}%2F{method}"
    yield f"/{service}\\{method}"
    yield f"/{service}/{method}:{method}"
    for other in (
        method.lower(),
        method.upper(),
        f"%{ord(method[0]):02X}{method[1:]}",
        f"%{ord(method[0]):02x}{method[1:]}",
    ):
        yield f"/{service}/{other}"
    yield f"/{service.replace('.', '%2E')}/{method}"
    yield f"/{service.upper()}/{method}"
    yield f"/v1{path}"
    yield f"/files{path}"


async def _status(edge: Edge, verb: str, path: str, content_type: str, *headers: str) -> int:
    """Send a request as it is written here, which no library would do, and return the status of its answer."""
    body = b"" if verb in {"GET", "HEAD", "OPTIONS"} else _framed(content_type)
    lines = [f"{verb} {path} HTTP/1.1", "host: edge", f"content-length: {len(body)}", "connection: close", *headers]
    if content_type:
        lines.append(f"content-type: {content_type}")
    host, _, port = edge.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split(b" ", 2)[1])


def _framed(content_type: str) -> bytes:
    return b"\0\0\0\0\5\n\3bob" if "grpc" in content_type else _SENT


@pytest.mark.parametrize("content_type", _TYPES)
async def test_without_a_token_no_spelling_of_a_method_reaches_a_service(
    content_type: str, suite: Suite, short_path: Path
) -> None:
    async with running_edge(suite, short_path) as edge, unheard(suite):
        for path in sorted({method.path for _, method in public.methods()}):
            await _status(edge, "POST", path, content_type)
        # A proxy's way to say it is the method's own path, and goes its own way.
        for spelling in (*_spellings(GET), f"http://other{GET}"):
            for verb in _VERBS if content_type == "application/json" else ("POST",):
                await _status(edge, verb, spelling, content_type)
        for header in ("x-envoy-original-path", "x-original-url", "x-rewrite-url", "x-http-method-override", ":path"):
            await _status(edge, "POST", f"{GET}/", content_type, f"{header}: {GET}")


async def test_with_a_token_only_the_one_spelling_reaches_it(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob", "carol")
    as_alice = f"authorization: Bearer {tokens.token('alice')}"
    async with running_edge(suite, short_path, CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="1000") as edge:
        assert await _status(edge, "POST", GET, "application/json", as_alice) == 200
        async with unheard(suite):
            for spelling in _spellings(GET):
                status = await _status(edge, "POST", spelling, "application/json", as_alice)
                assert status in {400, 404, 405}, spelling
        assert await _status(edge, "POST", f"{GET}?userId=carol", "application/json", as_alice) == 400
        assert heard(suite, GET) == 1


def test_where_a_check_is_switched_off_all_are_and_no_path_is_made_another() -> None:
    checks = {JWT_FILTER, CLAIMS_FILTER, RATE_FILTER}
    for route in all_routes(configuration(EXAMPLE, Limits())):
        configs = route.get("typed_per_filter_config", {})
        off = {name for name, config in configs.items() if config.get("disabled") and "@type" in config}
        if off & checks:
            assert off >= checks | {TRANSCODER_FILTER}, route["match"]
            assert route.get("route", {}).get("cluster") in {None, public.CONTENT_CLUSTER, public.REFLECTION_CLUSTER}
