"""Several processes of a service behind the edge."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
from chatkit.messages.v1 import messages_service_pb2, messages_service_pb2_grpc

from services.edge import envoy
from services.stack.cli import main
from services.stack.machine.processes import max_connections
from services.stack.machine.replicas import ONE_OF_EACH, parse_replicas, process_names
from services.stack.sign_in import bearer
from services.stack.trouble import Trouble
from tests.messages.chat import Reader, text
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.stack import RunningStack, running_stack

_REPLICAS = ("messages-1", "messages-2")


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ([], {}),
        (["messages=2"], {"messages": 2}),
        (["messages=2", "rooms=3, users=1"], {"messages": 2, "rooms": 3, "users": 1}),
        (["files=8"], {"files": 8}),
    ],
)
def test_numbers_of_processes_are_read(told: list[str], counts: dict[str, int]) -> None:
    assert parse_replicas(told) == {**ONE_OF_EACH, **counts}


def test_workers_are_for_every_service_that_is_not_named() -> None:
    assert parse_replicas([], "2") == dict.fromkeys(ONE_OF_EACH, 2)
    assert parse_replicas(["messages=3,users=1"], "2") == {"users": 1, "rooms": 2, "messages": 3, "files": 2}


@pytest.mark.parametrize("workers", ["0", "9", "two", "", "-1"])
def test_what_is_no_number_of_workers_is_one_sentence(workers: str) -> None:
    with pytest.raises(Trouble, match=r"--workers .* is not like 2: 1 to 8 processes of each service"):
        parse_replicas([], workers)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        *(
            (f"messages={count}", "is not like messages=2: 1 to 8 processes")
            for count in ("0", "9", "two", "", "²", "-1")
        ),
        ("messages", "is not like messages=2"),
        ("edge=2", "names no service: users, rooms, messages, files"),
        ("", "names no service"),
        ("rooms=2,rooms=3", "names rooms twice"),
    ],
)
def test_what_is_no_number_of_processes_is_one_sentence(
    told: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--home", str(tmp_path / "home"), "--replicas", told]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("chatkit: --replicas ")
    assert sentence in printed.err
    assert not (tmp_path / "home").exists()


def test_processes_are_called_like_their_service_unless_there_are_several() -> None:
    assert process_names(ONE_OF_EACH) == ["users", "rooms", "messages", "files"]
    names = process_names(parse_replicas(["rooms=2", "files=3"]))
    assert names == ["users", "rooms-1", "rooms-2", "messages", "files-1", "files-2", "files-3"]
    # Three are PostgreSQL's own reserve; the services refuse to start where theirs do not fit.
    assert max_connections(len(names)) - 3 >= 6 * len(names)
    with pytest.raises(Trouble):
        parse_replicas(["nats=2"])


@pytest.fixture
async def stack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningStack]:
    """Run the whole suite with two processes of messages, for a sender who is in a hurry."""
    monkeypatch.setenv("CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND", "1000")
    monkeypatch.setenv("CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND", "1000")
    async with running_stack("--replicas", "messages=2") as started:
        yield started


class _Alice:
    """A sender who repeats what was UNAVAILABLE, and readers, through the edge."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel) -> None:
        self._stack = stack
        self._stub = messages_service_pb2_grpc.MessagesServiceStub(channel)

    async def send(self, content: str) -> int:
        while True:
            try:
                answer = await self._stub.SendMessage(
                    text(content, content), metadata=bearer(self._stack.home, "alice"), timeout=HANG_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)
            else:
                return int(answer.message.seq)

    def read(self) -> Reader:
        request = messages_service_pb2.SubscribeRoomRequest(room_id="lobby", last=0)
        return Reader(self._stub.SubscribeRoom(request, metadata=bearer(self._stack.home, "bob")))


async def _seen_by_the_edge(stack: RunningStack, what: str) -> dict[str, str]:
    """Return what the edge says of each of the processes."""
    names = {running.address: running.name for running in stack.home.state().processes}
    socket = Path(psutil.Process(stack.pid("edge")).environ()["CHATKIT_RUN_DIR"]) / "admin.sock"
    rows = [line.split("::") for line in (await envoy.admin(socket, "GET", "/clusters")).splitlines()]
    return {names[row[1]]: row[3] for row in rows if row[2:3] == [what] and row[1] in names}


async def _calls(stack: RunningStack) -> Counter[str]:
    """Count the calls that the edge has made to each of the processes."""
    return Counter({name: int(count) for name, count in (await _seen_by_the_edge(stack, "rq_total")).items()})


async def _until_the_edge_turns_to_all(stack: RunningStack) -> None:
    """Return once the edge has found each replica healthy: it serves as soon as one is."""
    async with asyncio.timeout(HANG_SECONDS):
        health: dict[str, str] = {}
        while {health.get(name) for name in _REPLICAS} != {"healthy"}:
            await asyncio.sleep(0.05)
            health = await _seen_by_the_edge(stack, "health_flags")


async def test_two_run_both_are_used_and_one_that_is_killed_stops_nobody(stack: RunningStack) -> None:
    command = (sys.executable, "-m", "services.stack", "services", "--json", "--home", str(stack.home.folder))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    shown, _ = await process.communicate()
    rows = {row["name"]: row for row in json.loads(shown)}
    assert process.returncode == 0, shown
    assert list(rows) == ["postgres", "nats", "edge", "users", "rooms", *_REPLICAS, "files"]
    assert rows["messages-1"]["address"] != rows["messages-2"]["address"]
    await _until_the_edge_turns_to_all(stack)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        alice = _Alice(stack, channel)
        readers = [alice.read() for _ in range(8)]
        for reader in readers:
            await reader.until("caught_up")
        seqs = await asyncio.gather(*(alice.send(f"{n}") for n in range(40)))
        assert sorted(seqs) == list(range(1, 41))
        for reader in readers:
            assert await reader.until_seq(40) == list(range(1, 41))
        calls = await _calls(stack)
        assert all(calls[name] >= 10 for name in _REPLICAS), calls
        stack.signal("messages-1", signal.SIGKILL)
        again = await asyncio.gather(*(alice.send(f"after {n}") for n in range(40)))
        assert sorted(again) == list(range(41, 81))
        await eventually(lambda: "messages-1 ended (signal 9) and is started again" in stack.output)
    for name in _REPLICAS:
        assert (stack.home.logs / f"{name}.log").exists()


async def test_nats_is_started_again_and_needs_a_services_password(stack: RunningStack) -> None:
    before = stack.pid("nats")
    command_line = psutil.Process(before).cmdline()
    passwords = stack.home.nats_passwords.values()
    assert not any(password in " ".join(command_line) for password in passwords)
    address = next(running.address for running in stack.home.state().processes if running.name == "nats")
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"CONNECT {}\r\nPING\r\n")
    answers = await reader.read()
    assert b"Authorization Violation" in answers
    writer.close()
    stack.signal("nats", signal.SIGKILL)
    await eventually(lambda: "nats ended (signal 9) and is started again" in stack.output)
    await eventually(lambda: any(one.name == "nats" and one.pid != before for one in stack.home.state().processes), 30)
    logs = [stack.home.logs / f"{name}.log" for name in (*_REPLICAS, "rooms")]
    await eventually(lambda: all(log.read_text().count("nats_connected") == 2 for log in logs), 30)
    written = "".join(path.read_text(errors="replace") for path in stack.home.logs.iterdir())
    assert "bus_refused" not in written
    assert not any(password in written for password in passwords)
