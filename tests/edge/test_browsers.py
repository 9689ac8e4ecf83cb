"""Pages of other origins: only those that a deployment names may call, and they can read why they were refused."""

from pathlib import Path

import pytest

from tests.edge.calling import GET, Call, unheard
from tests.support import tokens
from tests.support.edge import running_edge
from tests.support.suite import Suite

_OURS, _THEIRS = "https://chat.example", "https://evil.example"
_ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


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


async def test_any_origin_can_be_allowed(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_CORS_ORIGINS="*") as edge:
        answer = await edge.http.options(GET, headers={"origin": _THEIRS, **_ASK})
        assert answer.headers["access-control-allow-origin"] in {_THEIRS, "*"}
        assert "access-control-allow-credentials" not in answer.headers
