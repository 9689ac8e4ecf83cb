"""The web console, as the edge serves it: a page for browsers at `/`, and its files where nothing else ever is."""

import gzip
import signal
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from services.edge import console
from services.edge.console import ASSETS, LICENCES, SCRIPT, STYLE
from services.edge.deployment import EXAMPLE, Certificate
from services.edge.rendering.console import policy
from tests.support.edge import Edge, running_edge
from tests.support.eventually import until
from tests.support.suite import Suite

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: https: http:;"
    " media-src 'self' blob: https: http:; connect-src 'self' https: http:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'; require-trusted-types-for 'script'"
)
_HOSTILE = """https://a.example"><script>alert(1)</script>,https://b.example; script-src *,https://c.example 'self'"""


class _Reader(HTMLParser):
    """Reads the page, and notes its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def hosts(self) -> str | None:
        (found,) = (meta["content"] for meta in self.all("meta") if meta.get("name") == "chatkit-hosts")
        return found


async def _ask(
    edge: Edge, path: str, verb: str = "GET", *, accept: str | None = _BROWSER, encoding: str | None = "gzip"
) -> httpx.Response:
    """Make a request with these headers, or without one that is None; what is read is as it came."""
    request = edge.http.build_request(verb, path)
    for name, value in (("accept", accept), ("accept-encoding", encoding)):
        del request.headers[name]
        if value is not None:
            request.headers[name] = value
    answer = await edge.http.send(request, stream=True)
    body = b"".join([piece async for piece in answer.aiter_raw()])
    # What httpx would have unpacked.
    answer.headers["x-encoding"] = answer.headers.pop("content-encoding", "")
    return httpx.Response(answer.status_code, headers=answer.headers, content=body)


async def test_whoever_asks_for_html_sees_the_page_and_everybody_else_what_the_edge_is(edge: Edge) -> None:
    for accept, kind in (
        (_BROWSER, _HTML),
        ("text/html", _HTML),
        ("TEXT/HTML ;level=1", _HTML),
        ("application/json, text/html;q=0.5", _HTML),
        ("*/*", _JSON),
        ("text/*", _JSON),
        (_JSON, _JSON),
        ("", _JSON),
        (None, _JSON),
        ("text/html;q=0, */*", _JSON),
        ("*/*, text/html;level=1; q=0.000", _JSON),
        ("text/htmlx, x-text/html, text/html-sandboxed", _JSON),
    ):
        answer = await _ask(edge, "/", accept=accept, encoding=None)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind), accept
        # What is long enough to be compressed varies by that, too.
        assert answer.headers["vary"] in {"accept", "accept, Accept-Encoding"}
        assert answer.text.startswith("<!doctype html>" if kind == _HTML else '{\n  "name": "chatkit"'), accept
        head = await _ask(edge, "/", "HEAD", accept=accept, encoding=None)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == kind
        assert head.headers["content-length"] == answer.headers["content-length"]


async def test_the_page_loads_its_own_files_and_has_nothing_else_that_could_run(edge: Edge) -> None:
    answer = await _ask(edge, "/", encoding=None)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == _POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["permissions-policy"] == "camera=(), geolocation=(), microphone=()"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
    read = _Reader(answer.text)
    assert [script["src"] for script in read.all("script")] == [SCRIPT.path]
    assert [link["href"] for link in read.all("link") if link["rel"] == "stylesheet"] == [STYLE.path]
    assert [link["href"] for link in read.all("link") if link["rel"] == "license"] == [LICENCES.path]
    assert read.hosts == ""
    for tag, attributes in read.elements:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


async def test_its_files_are_kept_for_ever_and_come_compressed_to_whoever_takes_that(edge: Edge) -> None:
    for asset, kind in ((SCRIPT, "text/javascript; charset=utf-8"), (STYLE, "text/css; charset=utf-8")):
        content = asset.content
        for encoding, is_zipped in (
            ("gzip", True),
            ("br, GZIP;q=0.5", True),
            ("gzip, deflate, br, zstd", True),
            ("identity", False),
            ("br", False),
            ("gzip;q=0", False),
            ("*;q=0.1, gzip; q=0.0", False),
            (None, False),
        ):
            answer = await _ask(edge, asset.path, encoding=encoding)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == kind
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["vary"] == "accept-encoding"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-encoding"] == ("gzip" if is_zipped else ""), encoding
            assert answer.content == (gzip.compress(content, mtime=0) if is_zipped else content)
            head = await _ask(edge, asset.path, "HEAD", encoding=encoding)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == f"{len(answer.content)}"


async def test_a_file_is_at_its_path_and_nowhere_else_and_takes_no_other_verb(edge: Edge) -> None:
    assert len({asset.path for asset in ASSETS}) == len(ASSETS)
    for asset in ASSETS:
        _, folder, name = asset.path.split("/")
        other = f"{name[1 : -len(Path(name).suffix)]}{name[0]}{Path(name).suffix}"
        wrong = (f"/{folder}/{other}", f"/{folder}/{asset.name}", f"/{folder}/", f"{asset.path}/", f"{asset.path}.gz")
        for path in (*wrong, asset.path.upper()):
            answer = await _ask(edge, path)
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "METHOD_NOT_FOUND"), path
            assert "cache-control" not in answer.headers
    for path in ("/", *(asset.path for asset in ASSETS)):
        for verb in ("POST", "PUT", "DELETE", "OPTIONS"):
            answer = await _ask(edge, path, verb)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD"), (verb, path)


async def test_hosts_are_the_origins_that_are_named_and_such_only(suite: Suite, short_path: Path) -> None:
    named = "https://chat.example capacitor://localhost http://[::1]:3000"
    origins = ",".join(("*", "null", named.replace(" ", ","), "https://d.example/", "https://*.e.example", _HOSTILE))
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=origins) as edge:
        answer = await _ask(edge, "/", encoding=None)
        assert answer.headers["content-security-policy"] == _POLICY.replace("s 'self';", f"s 'self' {named};")
        # A page that is cut off from who has opened it has nobody to ask.
        assert "cross-origin-opener-policy" not in answer.headers
        read = _Reader(answer.text)
        assert read.hosts == named
        assert len(read.all("script")) == 1


def test_what_an_origin_could_hold_stays_a_text_of_the_page() -> None:
    read = _Reader(console.page(_HOSTILE.split(",")))
    assert read.hosts == _HOSTILE.replace(",", " ")
    assert len(read.all("script")) == 1


def test_a_page_with_tls_sends_nothing_without() -> None:
    certificate = Certificate(Path("edge.pem"), Path("edge.key"))
    rules = policy(replace(EXAMPLE, certificate=certificate)).split("; ")
    assert [rule for rule in rules if rule.startswith("connect-src")] == ["connect-src 'self' https:"]


async def test_an_edge_that_is_about_to_end_says_so_to_browsers_too(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_DRAIN_SECONDS="3600") as edge:
        assert edge.child.process is not None
        edge.child.process.send_signal(signal.SIGTERM)

        async def says_so() -> bool:
            return (await _ask(edge, "/")).status_code == 503

        await until(says_so)
        assert (await _ask(edge, "/", encoding=None)).json()["details"][0]["reason"] == "SHUTTING_DOWN"
        # Who has the page gets what it loads.
        assert (await _ask(edge, SCRIPT.path, encoding=None)).content == SCRIPT.content
        edge.child.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("told", ["false", "0"])
async def test_it_can_be_switched_off(suite: Suite, short_path: Path, told: str) -> None:
    async with running_edge(suite, short_path, CHATKIT_CONSOLE=told) as edge:
        answer = await _ask(edge, "/", encoding=None)
        assert (answer.status_code, answer.json()["name"]) == (200, "chatkit")
        assert "content-security-policy" not in answer.headers
        for asset in ASSETS:
            assert (await _ask(edge, asset.path)).status_code == 404
