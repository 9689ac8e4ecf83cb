"""`up` and its commands, as somebody at a terminal meets them."""

import asyncio
import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator

import httpx
import jwt
import psycopg
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from chatkit_client import connect
from services.stack.commands.first_steps import OPERATOR
from services.stack.machine.recorded import environment
from services.stack.roles import EPOCHS
from services.stack.sign_in import DEFAULT_LIFETIME, token
from tests.stack.commands.typed import run_chatkit
from tests.support.databases import ROOT
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.stack import RunningStack, running_stack


@pytest.fixture
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


def _lines(printed: str, what: str) -> str:
    """Return what was printed to be copied under a heading."""
    return printed.partition(f"{what}:\n")[2].partition("\n\n")[0]


async def _shell(line: str) -> str:
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    async with asyncio.timeout(HANG_SECONDS):
        out, _ = await process.communicate()
    return out.decode()


async def _watched(line: str, send: str) -> None:
    """Run a line that watches until it has shown what another line sends."""
    watching = await asyncio.create_subprocess_shell(
        f"exec {line}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    assert watching.stdout is not None
    await _shell(send)
    async with asyncio.timeout(HANG_SECONDS):
        while b"Hello, Bob" not in await watching.stdout.readline():
            pass
    watching.terminate()
    await watching.wait()


async def test_the_printed_page_is_short_and_its_lines_work_as_printed(stack: RunningStack) -> None:
    page = stack.output.partition("ready after")[2]
    assert page.splitlines()[2].startswith(f"  http://{stack.address}  ")
    assert "Bearer" not in page
    assert len(page.splitlines()) < 25
    chat, watch, send, listing, curl, _ = (
        re.split("  (?:chats|sends|shows)", line)[0] for line in _lines(page, "folder").splitlines()
    )
    assert "needs a terminal" in await _shell(f"{chat} 2>&1 || true")
    await _watched(watch, send)
    assert (await _shell(listing)).count("Hello, Bob") == 1
    assert "SubscribeRoom" in await _shell(curl)


async def test_the_printed_links_open_the_console_as_they_say(stack: RunningStack) -> None:
    links = dict(re.findall(r"^  as (.*):\n  (http://\S+)$", stack.output, re.MULTILINE))
    assert list(links) == ["alice", "bob", OPERATOR]
    async with httpx.AsyncClient(trust_env=False, headers={"accept": "text/html"}) as http:
        for whose, link in links.items():
            url, _, told = link.partition("#token=")
            assert (await http.get(url)).headers["content-type"] == "text/html; charset=utf-8"
            claims = {"su": False, **jwt.decode(told, options={"verify_signature": False})}
            assert (claims.get("sub"), claims["su"]) == ((None, True) if whose == OPERATOR else (whose, False))
            assert claims["exp"] - claims["iat"] == DEFAULT_LIFETIME.total_seconds()
            listed = await http.post(
                f"{url}chatkit.users.v1.UsersService/ListUsers", json={}, headers={"authorization": f"Bearer {told}"}
            )
            assert listed.status_code == (200 if whose == OPERATOR else 403)


async def test_where_the_console_is_switched_off_no_link_leads_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_CONSOLE", "false")
    async with running_stack() as stack:
        assert "#token=" not in stack.output
        assert "In other terminals" in stack.output


async def test_the_calls_in_json_work_as_printed(stack: RunningStack) -> None:
    status, printed, _ = await run_chatkit(stack, "up", "--curl")
    assert status == 0
    send = _lines(printed, "there as alice")
    await _watched(_lines(printed, "until Ctrl-C"), send)
    await _shell(send)
    assert (await _shell(_lines(printed, "messages as bob"))).count("Hello, Bob") == 2


async def test_a_conversation_without_curl(stack: RunningStack) -> None:
    status, sent, _ = await run_chatkit(stack, "send", "hello \x1b[31m there", "--request-id", "once")
    assert (status, sent.strip().rpartition(": ")[2]) == (0, "hello  [31m there")
    await run_chatkit(stack, "send", "hello \x1b[31m there", "--request-id", "once")
    _, listed, _ = await run_chatkit(stack, "list", "--as", "bob", "--json")
    assert [json.loads(line)["senderId"] for line in listed.splitlines()] == ["alice"]
    status, _, refused = await run_chatkit(stack, "send", "hello", "--as", "carol")
    assert status == 1
    assert refused.startswith("chatkit: ROOM_ACCESS_DENIED: ")
    # More than fit on a page.
    async with connect(stack.address, token(stack.home, "alice", su=True)) as client:
        parts = [part_pb2.Part(content_type="text/plain", content="x")]
        sends = [pb2.SendMessageRequest(room_id="lobby", parts=parts, request_id=f"{n}") for n in range(100)]
        await client.call(pb2.BatchSendMessagesRequest(requests=sends))
    _, listed, _ = await run_chatkit(stack, "list", "--last", "200")
    assert (len(listed.splitlines()), listed.count("hello")) == (101, 1)
    _, listed, _ = await run_chatkit(stack, "list", "--last", "100")
    assert (len(listed.splitlines()), listed.count("hello")) == (100, 0)


async def test_the_state_survives_and_is_seeded_once(stack: RunningStack) -> None:
    await run_chatkit(stack, "send", "before")
    assert await stack.stop() == 0
    assert stack.home.state().processes == []
    await stack.start()
    _, listed, _ = await run_chatkit(stack, "list")
    assert "alice: before" in listed
    for path in (stack.home.folder, stack.home.folder / "secrets"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


_ROTATED = [f"{service}: the epoch" for service in EPOCHS]


async def test_the_epoch_is_rotated_while_the_suite_runs_and_while_it_does_not(stack: RunningStack) -> None:
    await run_chatkit(stack, "send", "before")
    status, running, _ = await run_chatkit(stack, "rotate-epoch")
    assert (status, [line.split(" is ")[0] for line in running.splitlines()]) == (0, _ROTATED)
    assert await stack.stop() == 0
    status, at_rest, _ = await run_chatkit(stack, "rotate-epoch")
    assert (status, [line.split(" is ")[0] for line in at_rest.splitlines()]) == (0, _ROTATED)
    assert not {*at_rest.splitlines()} & {*running.splitlines()}
    await stack.start()
    assert "alice: before" in (await run_chatkit(stack, "list"))[1]


async def test_verify_says_that_all_fits_and_then_what_does_not_in_a_table_and_in_lines(stack: RunningStack) -> None:
    assert await run_chatkit(stack, "verify") == (0, "Everything fits.\n", "")
    owner = environment(stack.home, "users")["CHATKIT_MIGRATE_DATABASE_URL"]
    with psycopg.connect(owner) as connection:
        connection.execute("DELETE FROM users.users WHERE id = 'bob'")
    status, said, _ = await run_chatkit(stack, "verify")
    table = said.splitlines()
    assert (status, table[0].split()) == (1, ["service", "what", "which", "detail"])
    assert [line.split()[:2] for line in table[1:-1]] == [["rooms", "MEMBER_UNKNOWN"]]
    assert table[-1] == "Something does not fit: docs/backup.md says what to do."
    status, lines, _ = await run_chatkit(stack, "verify", "--json")
    assert (status, [json.loads(line)["kind"] for line in lines.splitlines()]) == (1, ["MEMBER_UNKNOWN"])
    # A service that can't be asked is no finding of the others.
    with psycopg.connect(owner) as connection:
        connection.execute("REVOKE ALL ON users.users FROM chatkit_users")
    status, said, why = await run_chatkit(stack, "verify")
    assert (status, said.splitlines()[-1]) == (2, "Not all could be said.")
    assert len(why.splitlines()) == 1


async def test_a_crashed_child_is_reported_and_started_again(stack: RunningStack) -> None:
    before = stack.pid("users")
    stack.signal("users", signal.SIGKILL)
    await eventually(lambda: "users ended (signal 9) and is started again" in stack.output)
    await eventually(lambda: before not in {running.pid for running in stack.home.state().processes})
    await eventually(lambda: "users" in {running.name for running in stack.home.state().processes})
    async with asyncio.timeout(HANG_SECONDS):
        while (await run_chatkit(stack, "services"))[0] != 0:
            pass


async def test_what_a_killed_up_left_behind_is_ended_and_other_processes_are_not(stack: RunningStack) -> None:
    left = {running.name: running.pid for running in stack.home.state().processes}
    await stack.kill()
    assert (await run_chatkit(stack, "services"))[0] == 1
    await stack.start()
    now = {running.name: running.pid for running in stack.home.state().processes}
    assert not set(left.values()) & set(now.values())
    for pid in left.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
