"""What access holds when processes stand still: real ones, behind the edge, with a patience of ten seconds."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2, messages_service_pb2_grpc
from chatkit.rooms.v1 import memberships_service_pb2, memberships_service_pb2_grpc

from services.stack.sign_in import bearer
from tests.messages.chat import Reader, text
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import check
from tests.support.stack import RunningStack, running_stack

# Long enough for a send on a machine that is busy.
_PATIENCE_SECONDS = 10


class _Lobby:
    """The room that a fresh stack has, with alice and bob in it."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel) -> None:
        self._stack = stack
        self._messages = messages_service_pb2_grpc.MessagesServiceStub(channel)
        self._memberships = memberships_service_pb2_grpc.MembershipsServiceStub(channel)
        self._sent = 0

    async def send(self, who: str = "alice") -> int:
        """Send a message and return its seq."""
        self._sent += 1
        response = await self._messages.SendMessage(
            text("hello", f"{who} {self._sent}"), metadata=bearer(self._stack.home, who), timeout=HANG_SECONDS
        )
        return int(response.message.seq)

    def read(self, who: str) -> Reader:
        """Subscribe."""
        request = messages_service_pb2.SubscribeRoomRequest(room_id="lobby", last=0)
        return Reader(self._messages.SubscribeRoom(request, metadata=bearer(self._stack.home, who)))

    async def remove(self, who: str) -> None:
        """Remove a member."""
        request = memberships_service_pb2.RemoveMembersRequest(room_id="lobby", user_ids=[who])
        await self._memberships.RemoveMembers(request, metadata=bearer(self._stack.home, "alice"))

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Let a process stand still while the context is open."""
        pid = self._stack.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def lobby(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Lobby]:
    """Run the whole suite."""
    monkeypatch.setenv("CHATKIT_ACCESS_HEARTBEAT_PATIENCE_SECONDS", str(_PATIENCE_SECONDS))
    # What is waited for is asked for again and again.
    monkeypatch.setenv("CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND", "1000")
    async with running_stack() as stack, grpc.aio.insecure_channel(stack.address) as channel:
        yield _Lobby(stack, channel)


async def _until(lobby: _Lobby, *, refused: bool) -> None:
    """Send until a send is refused, with SERVICE_UNAVAILABLE, or until one is not."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                await lobby.send()
                is_refused = False
            except grpc.aio.AioRpcError as error:
                check(error, "SERVICE_UNAVAILABLE")
                is_refused = True
            if is_refused == refused:
                return


async def test_without_rooms_members_go_on_for_a_while_and_no_longer(lobby: _Lobby) -> None:
    stream = lobby.read("bob")
    await stream.until("caught_up")
    await lobby.send()
    with lobby.stopped("rooms"):
        seq = await lobby.send()
        assert await stream.until_seq(seq) == [seq - 1, seq]
        await _until(lobby, refused=True)
        events = await stream.until("closed")
        assert events[-1].closed.reason == error_reason_pb2.SERVICE_UNAVAILABLE
    await _until(lobby, refused=False)


async def test_a_stopped_messages_delivers_nothing_that_was_sent_after_a_removal(lobby: _Lobby) -> None:
    gone, stays = lobby.read("bob"), lobby.read("alice")
    await gone.until("caught_up")
    await stays.until("caught_up")
    seq = await lobby.send()
    assert (await gone.until_seq(seq), await stays.until_seq(seq)) == ([seq], [seq])
    with lobby.stopped("messages"):
        await lobby.remove("bob")
        # The fault is that so much time passes.
        await asyncio.sleep(_PATIENCE_SECONDS + 1)
        # These lie in the process's socket when it goes on, as does the removal.
        sends = [asyncio.create_task(lobby.send()) for _ in range(20)]
        await asyncio.sleep(0.2)
    seqs = sorted(await asyncio.gather(*sends))
    assert seqs == list(range(seq + 1, seq + 21))
    assert await stays.until_seq(seqs[-1]) == seqs
    events = await gone.until("closed")
    assert events[-1].closed.reason == error_reason_pb2.REMOVED_FROM_ROOM
    assert not any(event.HasField("message_created") for event in events)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await lobby.send("bob")
    check(refusal.value, "ROOM_ACCESS_DENIED")
