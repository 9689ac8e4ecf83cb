"""A call's deadline: each step of a write has what those before it have left of it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.messages.v1 import attached_file_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.attachments.service import Attachments
from services.messages.batch_send import BatchSend
from services.messages.heaviest_senders import HeaviestSenders
from services.messages.log.committer import Committer
from services.messages.log.figures import CommitFigures
from services.messages.log.outcomes import Appended, Result
from services.messages.model import LogEntry, Write
from services.messages.preparing import Preparation
from services.messages.service import Messages
from services.messages.servicer import MessagesServicer
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.call import Call
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import DeadlineExceeded
from services.runtime.contract.policies import Limits
from services.runtime.deadline import Deadline
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.metrics.registry import Metrics
from tests.support.clock import ManualClock, deadlines_by
from tests.support.eventually import HANG_SECONDS
from tests.support.peers import room_uid_of, user_uid_of

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_STORED = Appended(LogEntry.created(1, _TIME, b""), is_new=True)
_WITH_FILE = pb2.SendMessageRequest(
    room_id="lobby", sender_id="alice", request_id="1", parts=[part_pb2.Part(content_type="image/gif", file_id="f")]
)


class _Steps:
    """All that a write asks, each of which takes as long as it is told to, and notes how much was left before."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self.left: dict[str, float] = {}
        self._clock = clock
        self._seconds = seconds

    def _take(self, name: str, deadline: Deadline | None = None) -> None:
        if deadline is not None:
            self.left[name] = deadline.left()
        self._clock.jump(self._seconds)

    async def uid_of(self, user_id: str, deadline: Deadline) -> UserUid:
        self._take("users", deadline)
        return user_uid_of(user_id)

    async def find(self, user_ids: set[str], deadline: Deadline) -> dict[str, UserUid]:
        self._take("users", deadline)
        return {user_id: user_uid_of(user_id) for user_id in user_ids}

    async def find_origin(self, *_: object) -> tuple[UserUid, str]:
        self._take("store")
        return user_uid_of("bob"), "1"

    def kept(self, _query: AccessQuery) -> None:
        """Nothing was asked before."""

    async def check(self, _query: AccessQuery) -> AccessGrant:
        self._take("rooms")
        return AccessGrant(7, room_uid_of("lobby"), None)

    async def check_rooms(self, query: AccessQuery, _room_ids: Sequence[str]) -> list[AccessGrant]:
        return [await self.check(query)]

    async def attach(
        self, file_ids: Sequence[str], _room_uid: RoomUid, _owner_uid: UserUid, deadline: Deadline
    ) -> dict[str, attached_file_pb2.AttachedFile]:
        self._take("files", deadline)
        return {file_id: attached_file_pb2.AttachedFile(id=file_id) for file_id in file_ids}

    async def note(self, *_: object) -> None:
        """Note that a message may refer to files."""

    async def send(self, _write: Write, deadline: Deadline) -> Appended:
        self._take("committer", deadline)
        return _STORED

    async def send_each(self, writes: Sequence[Write], deadline: Deadline) -> list[Result]:
        return [await self.send(write, deadline) for write in writes]


def _servicer(steps: _Steps, committer: Committer | None = None) -> MessagesServicer:
    them, nobody = cast("Any", steps), cast("Any", None)
    messages = Messages(
        store=them,
        committer=committer or them,
        repetitions=nobody,
        hubs=nobody,
        replays=nobody,
        cursors=nobody,
        access=them,
        freshness=nobody,
        ending_spread=0,
        senders=HeaviestSenders(SystemClock()),
        clock=nobody,
    )
    attachments, limits = Attachments(them, them), Limits()
    batches = BatchSend(messages, Preparation(them, attachments, them), limits)
    return MessagesServicer(messages, nobody, batches, nobody, attachments, nobody, them, nobody, limits)


def _call(seconds: float) -> Call:
    """Return a call of a superuser's for alice, who is no member."""
    caller = Caller(UserId("backend"), superuser=True, service=None, expire_time=_TIME)
    grant = AccessGrant(7, room_uid_of("lobby"), None)
    query = AccessQuery(RoomId("lobby"), UserId("alice"), True, method_policy_pb2.MEMBERSHIP_REQUIRED, "")
    return Call(caller, UserId("alice"), query, grant, Deadline.after(seconds), query_for_others=query)


_EDIT = pb2.EditMessageRequest(room_id="lobby", seq=1, parts=_WITH_FILE.parts)
_CASES: list[tuple[str, Any, dict[str, float]]] = [
    ("SendMessage", _WITH_FILE, {"users": 10.0, "files": 6.0, "committer": 4.0}),
    (
        "BatchSendMessages",
        pb2.BatchSendMessagesRequest(requests=[_WITH_FILE]),
        {"users": 7.0, "files": 3.2, "committer": 1.0},
    ),
    ("EditMessage", _EDIT, {"files": 3.2, "committer": 1.0}),
    ("DeleteMessage", pb2.DeleteMessageRequest(room_id="lobby", seq=1), {"committer": 4.0}),
]


@pytest.mark.parametrize(("method", "request_", "left"), _CASES, ids=[case[0] for case in _CASES])
async def test_each_step_has_what_is_left(method: str, request_: Any, left: dict[str, float]) -> None:
    clock = ManualClock()
    steps = _Steps(clock, seconds=3.0)
    with deadlines_by(clock):
        await getattr(_servicer(steps), method)(request_, _call(10.0))
    assert steps.left == pytest.approx(left)


async def test_a_message_whose_files_took_all_the_time_is_refused_and_not_stored_later() -> None:
    clock = ManualClock()
    committer = Committer(cast("Any", None), cast("Any", None), clock, CommitFigures(Metrics()))
    with deadlines_by(clock):
        servicer = _servicer(_Steps(clock, seconds=5.0), committer)
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(DeadlineExceeded):
                await servicer.SendMessage(_WITH_FILE, _call(10.0))
    assert committer._lanes.first_length == 0
