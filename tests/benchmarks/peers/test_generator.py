"""The generator of peers: what comes in pieces is cut right, deliveries are counted, and nothing is taken on trust."""

import pytest

from benchmarks.load.process import LoadFailed, in_own_process
from benchmarks.load.timing import Window
from benchmarks.load.xmpp import chats, history
from benchmarks.load.xmpp.client import Client, Stanzas
from benchmarks.load.xmpp.jobs import Chat, ChatsJob, HistoryJob
from benchmarks.load.xmpp.rooms import Member, RoomLog
from tests.benchmarks.peers.stand_in import StandIn, standing_in

_ROOM = Chat("lobby@conference.localhost", ["user-0", "user-1"])


def _message(number: int, mark: str = "<stanza-id id='7'/>") -> bytes:
    head = f"<message xml:lang='en' to='a@b/c' type='groupchat' id='b{number:016x}'>"
    return head.encode() + f"{mark}<body>x</body></message>".encode()


def _number(number: int) -> bytes:
    return b"%016x" % number


class _Client(Client):
    """Says nothing to anybody."""

    def say(self, said: bytes) -> None:
        """Say nothing."""


def _room(count: int) -> tuple[RoomLog, list[Member]]:
    log = RoomLog(Window({}), counts_sends=False)
    return log, [Member(log, _Client()) for _ in range(count)]


@pytest.mark.parametrize("size", [1, 2, 7, 40, 10_000])
def test_stanzas_in_pieces_of_any_size_come_out_whole_and_once(size: int) -> None:
    said = b"<presence id='x'/>" + _message(1) + _message(2) + b"<presence/>" + _message(3) + b"<message id"
    stanzas = Stanzas(b"</message>")
    pieces = [stanzas.whole(said[start : start + size]) for start in range(0, len(said), size)]
    assert all(piece.endswith(b"</message>") for piece in pieces if piece)
    assert b"".join(pieces) == said.removesuffix(b"<message id")


def test_what_all_are_given_in_one_order_is_delivered() -> None:
    log, (first, second) = _room(2)
    first.hear(_message(2) + _message(1))
    second.hear(_message(2)[:50])
    assert not log.is_complete
    second.hear(_message(2)[50:] + _message(1))
    assert (log.order, log.delivered, log.lost, log.doubled) == ([_number(2), _number(1)], 4, 0, 0)
    assert log.is_complete


@pytest.mark.parametrize(
    ("given", "lost", "doubled"), [([1, 2, 2], 0, 1), ([1], 1, 0), ([], 2, 0), ([2, 1], 1, 1), ([1, 3], 1, 1)]
)
def test_what_is_missing_doubled_or_out_of_order_is_counted(given: list[int], lost: int, doubled: int) -> None:
    log, (first, second) = _room(2)
    first.hear(_message(1) + _message(2))
    second.hear(b"".join(map(_message, given)))
    assert (log.lost, log.doubled) == (lost, doubled)


def test_the_senders_own_copy_with_an_id_of_the_archive_is_the_acknowledgement() -> None:
    log, (sender, other) = _room(2)
    done: list[int] = []
    for number in (1, 2):
        sender.send(_number(number), b"", 0.0, lambda: done.append(1))
    other.hear(_message(1))
    assert log.acknowledged == {}
    sender.hear(_message(1))
    assert (list(log.acknowledged), done, log.fault) == ([_number(1)], [1], "")
    # The second one was never answered.
    assert log.lost == 1
    sender.hear(_message(2, mark=""))
    assert "no id of the archive" in log.fault


def test_a_message_of_an_error_is_a_fault() -> None:
    log, (sender,) = _room(1)
    sender.hear(b"<message type='error' id='b0000000000000001'><error/></message>")
    assert "type='error'" in log.fault


@pytest.mark.parametrize(("senders", "per_second"), [(1, 0.0), (2, 0.0), (2, 200.0)])
async def test_everything_that_is_sent_is_acknowledged_and_delivered(senders: int, per_second: float) -> None:
    async with standing_in(StandIn()) as server:
        job = ChatsJob(server.address, [_ROOM], {}, 0.2, 0.0, 3, 200, senders=senders, per_second=per_second)
        found = await in_own_process(chats.run, job)
    assert found["acknowledged"] == len(server.texts) > 0
    assert set(server.texts) == {b"x" * 200}
    assert found["delivered"] == found["expected"] == 2 * found["acknowledged"]
    assert (found["lost"], found["doubled"], found["refused"]) == (0, 0, 0)
    # Deliveries are counted, to two for each send, but for those of the window's edges.
    assert found["count"] > found["sends_per_second"] * found["seconds"]


async def test_sends_are_counted_instead_where_they_are_compared() -> None:
    async with standing_in(StandIn()) as server:
        found = await in_own_process(
            chats.run, ChatsJob(server.address, [_ROOM], {}, 0.2, 0.0, 3, 200, counts_sends=True)
        )
    assert found["acknowledged"] >= found["count"] == round(found["sends_per_second"] * found["seconds"]) > 0


async def test_a_server_that_archives_nothing_is_no_peer() -> None:
    async with standing_in(StandIn(mark=b"")) as server:
        with pytest.raises(LoadFailed, match="no id of the archive"):
            await in_own_process(chats.run, ChatsJob(server.address, [_ROOM], {}, 0.1, 0.0, 3, 200))


async def test_who_is_not_let_in_is_told_why() -> None:
    async with standing_in(StandIn(lets_in=False)) as server:
        with pytest.raises(LoadFailed, match="user-0 was not let in: <failure/>"):
            await in_own_process(chats.run, ChatsJob(server.address, [_ROOM], {}, 0.1, 0.0, 3, 200))


async def test_pages_are_read_again_and_again() -> None:
    async with standing_in(StandIn()) as server:
        found = await in_own_process(history.run, HistoryJob(server.address, _ROOM, 100, {}, 0.2, 0.0))
    assert found["answered_in_all"] >= found["count"] > 0
    assert found["answer_bytes"] > 100 * len("<message></message>")


async def test_a_page_that_is_too_short_is_no_page() -> None:
    async with standing_in(StandIn(fewer_in_a_page=1)) as server:
        with pytest.raises(LoadFailed, match="a page of 99 messages instead of 100"):
            await in_own_process(history.run, HistoryJob(server.address, _ROOM, 100, {}, 0.1, 0.0))
