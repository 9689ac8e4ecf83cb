"""Pages of other origins: only those that a deployment names may call, and they can read why they were refused."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.edge.calling import GET, Call, unheard
from tests.support import tokens, uploads
from tests.support.edge import running_edge
from tests.support.suite import Suite

_OURS, _THEIRS = "https://chat.example", "https://evil.example"
_ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
_PICTURE = bytes(range(256)) * 16


async def test_a_preflight_is_answered_by_the_edge(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=f"https://a.example, {_OURS}") as edge:
        async with unheard(suite):
            answer = await edge.http.options(GET, headers={"origin": _OURS, **_ASK})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == _OURS
            assert {"authorization", "content-type", "x-grpc-web"} <= set(
                answer.headers["access-control-allow-headers"].split(",")
            )
            assert "POST" in answer.headers["access-control-allow-methods"]
            foreign = await edge.http.options(GET, headers={"origin": _THEIRS, **_ASK})
            assert "access-control-allow-origin" not in foreign.headers
            # What only looks like one is no call either.
            assert (await edge.http.options(GET, headers={"origin": _OURS})).status_code == 405
        refused = await edge.json(GET, {"userId": "bob"}, None, origin=_OURS)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == _OURS
        assert {"grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after"} <= set(
            refused.headers["access-control-expose-headers"].split(",")
        )


@pytest.mark.parametrize(("setting", "without"), [({}, ""), ({"CHATKIT_CORS_ORIGINS": _OURS}, "cors")])
async def test_without_the_setting_or_the_rule_no_page_may_call(
    setting: dict[str, str], without: str, suite: Suite, short_path: Path
) -> None:
    await suite.make_users("alice", "bob")
    async with running_edge(suite, short_path, without, **setting) as edge:
        preflight = await edge.http.options(GET, headers={"origin": _OURS, **_ASK})
        assert preflight.status_code >= 400
        answer = await edge.json(GET, {"userId": "bob"}, tokens.token("alice"), origin=_OURS)
        assert answer.status_code == 200
        for headers in (preflight.headers, answer.headers):
            assert not [name for name in headers if name.startswith("access-control")]
        assert await Call().by("grpc", edge) is None


async def test_content_that_is_kept_for_one_origin_is_not_shown_to_another(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=_OURS) as edge:
        for headers in ({"origin": _OURS}, {}):
            answer = await edge.http.get("/files/nothing", headers=headers)
            assert answer.headers["vary"] == "origin"


async def test_a_picture_that_a_page_has_shown_is_read_by_its_script_too(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    file = await uploads.add(suite.files, _PICTURE, tokens.user("alice"), content_type="image/png")
    url = urlsplit(file.download_url)._replace(scheme="", netloc="").geturl()
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=_OURS) as edge:
        # As <img src> asks, and so without an origin: the browser keeps it, and may show it to no fetch.
        shown = await edge.http.get(url)
        assert (shown.content, shown.headers["vary"]) == (_PICTURE, "origin")
        assert "access-control-allow-origin" not in shown.headers
        tag = shown.headers["etag"]
        for asked, status in (
            ({}, 200),
            ({"if-none-match": tag, "traceparent": f"00-{1:032x}-{1:016x}-01"}, 304),
            ({"range": "bytes=0-9", "if-range": tag}, 206),
        ):
            # What a fetch with these headers is preceded by.
            ask = {"access-control-request-method": "GET", "access-control-request-headers": ",".join(sorted(asked))}
            preflight = await edge.http.options(url, headers={"origin": _OURS, **ask})
            assert preflight.headers["access-control-allow-origin"] == _OURS
            assert set(asked) <= set(preflight.headers["access-control-allow-headers"].split(","))
            read = await edge.http.get(url, headers={"origin": _OURS, **asked})
            assert (read.status_code, read.headers["access-control-allow-origin"]) == (status, _OURS)
            assert read.headers["vary"] == "origin"
            shown_to_it = set(read.headers["access-control-expose-headers"].split(","))
            assert {"etag", "content-range", "accept-ranges", "content-disposition"} <= shown_to_it


async def test_any_origin_can_be_allowed(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS="*") as edge:
        answer = await edge.http.options(GET, headers={"origin": _THEIRS, **_ASK})
        assert answer.headers["access-control-allow-origin"] in {_THEIRS, "*"}
        assert "access-control-allow-credentials" not in answer.headers
