"""Searching users through the edge, by those whose role lets them."""

from typing import Any

import httpx

from tests.support import tokens
from tests.support.edge import Edge

_PATH = "/chatkit.users.v1.UsersService/SearchUsers"


async def _search(edge: Edge, who: str, **request: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {tokens.token(who)}"}
    return await edge.http.post(_PATH, json=request, headers=headers)


async def test_who_has_the_role_admin_searches_page_by_page(edge: Edge) -> None:
    await edge.suite.make_users("Bo", "bobby")
    refusal = await _search(edge, "alice", prefix="bo")
    assert (refusal.status_code, refusal.json()["details"][0]["reason"]) == (403, "PERMISSION_MISSING")
    await edge.suite.assign("alice", "admin")
    first = (await _search(edge, "alice", prefix="BO", pageSize=2)).json()
    assert [found["name"] for found in first["users"]] == ["Bo", "bob"]
    last = (await _search(edge, "alice", prefix="BO", pageSize=2, pageToken=first["nextPageToken"])).json()
    assert [found["name"] for found in last["users"]] == ["bobby"]
    assert last["nextPageToken"] == ""
    empty = await _search(edge, "alice", prefix="")
    assert (empty.status_code, empty.json()["details"][0]["metadata"]) == (400, {"field": "prefix"})
