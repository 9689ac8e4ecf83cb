"""The token servers run as they are printed: the suite takes their tokens, and only who is signed in gets one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt
import pytest

from protos import node
from services.stack.machine.ports import Port
from tests.clients.quickstarts.programs import TOKEN_SERVERS, running, sys_python
from tests.polyglot.tools import go_cache, succeed, tool
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, until

_PATH = "/chat-token"
_SESSIONS = {"a-session": "alice"}
_SIGNED_IN = {"cookie": "theme=dark; session=a-session"}
_GET_USER = "/chatkit.users.v1.UsersService/GetUser"


@pytest.fixture(params=["python", "node", "go"])
async def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str | Path]:
    """Return what runs a token server, but for its port."""
    match request.param:
        case "python":
            return sys_python(TOKEN_SERVERS / "token_server.py")
        case "node":
            return [node.NODE, TOKEN_SERVERS / "token-server.mjs"]
        case _:
            return [await asyncio.to_thread(_built_in_go, tmp_path / "program")]


def _built_in_go(program: Path) -> Path:
    source = TOKEN_SERVERS / "token_server.go"
    succeed([tool("go"), "build", "-o", program, source], program.parent, GOCACHE=str(go_cache()), GOFLAGS="")
    return program


@asynccontextmanager
async def _serving(program: list[str | Path], folder: Path, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a token server, and lend what calls it."""
    held = Port("127.0.0.1", child="reuses address")
    keys, _ = tokens.write_keys(folder)
    told = {"CHATKIT_INSTANCE": tokens.INSTANCE, "CHATKIT_KEYS_FILE": str(keys), **environment}
    http = httpx.AsyncClient(base_url=f"http://{held.address}", timeout=HANG_SECONDS, trust_env=False)
    try:
        async with running(*program, held.address.rpartition(":")[2], **told) as server, http:
            await until(lambda: _answers(http))
            assert await asyncio.to_thread(server.listens) == {held.address}
            yield http
    finally:
        held.release()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        await http.get("/")
    except httpx.TransportError:
        return False
    return True


async def test_who_is_signed_in_gets_a_token_that_the_suite_takes(
    edge: Edge, tmp_path: Path, program: list[str | Path]
) -> None:
    async with _serving(program, tmp_path, SESSIONS=json.dumps(_SESSIONS)) as http:
        answer = await http.post(_PATH, headers={**_SIGNED_IN, "origin": "https://evil.example"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = await edge.json(_GET_USER, {"userId": "alice"}, answer.text)
    assert asked.json()["user"]["id"] == "alice"
    claims = jwt.decode(answer.text, options={"verify_signature": False})
    assert claims.keys() == {"instance", "iss", "sub", "iat", "exp"}
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("alice", 15 * 60)


async def test_nobody_else_does(tmp_path: Path, program: list[str | Path]) -> None:
    async with _serving(program, tmp_path, SESSIONS=json.dumps(_SESSIONS)) as http:
        for headers in ({}, {"cookie": "session=another"}, {"cookie": "session="}, {"cookie": "other=a-session"}):
            refused = await http.post(_PATH, headers=headers)
            assert (refused.status_code, refused.content) == (401, b"")
        elsewhere = await http.post("/elsewhere", headers=_SIGNED_IN)
        read = await http.get(_PATH, headers=_SIGNED_IN)
        assert (elsewhere.status_code, read.is_error, b"eyJ" in read.content) == (404, True, False)
    async with _serving(program, tmp_path) as http:
        for headers in ({"cookie": "session="}, _SIGNED_IN):
            assert (await http.post(_PATH, headers=headers)).status_code == 401
