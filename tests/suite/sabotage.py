"""Ways to break a suite that runs in this process, each of which breaks a promise."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.messages.fanout import replays
from services.messages.fanout.hub import RoomHub
from services.messages.fanout.hubs import Hubs
from services.messages.read_states import model, states_store
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.service import Messages
from services.messages.stream_access import StreamAccess
from services.messages.streams.one_room_stream import OneRoomStream
from services.messages.streams.rooms_stream import RoomOfStream
from services.rooms.model import Role, RoleScope
from services.rooms.roles.store import RoleStore
from services.runtime.data.epoch import rotate
from services.stack.proof.faults import Rule
from services.stack.proof.forbidden import leaks
from services.stack.proof.history import History
from services.users.model import PresenceState
from services.users.presence import frames as presence_frames
from tests.support.suite import Suite

# Who was removed may hear for so long what is on its way.
LEAK_SECONDS = 0.2
Patch = pytest.MonkeyPatch


async def _nothing(_suite: Suite) -> None:
    pass


def _many_writes(history: History) -> bool:
    return len(history.writes) >= 40 and len(history.streams) >= 10 and len(history.pages) >= 5


@dataclass(frozen=True, slots=True)
class Sabotage:
    """How a suite is broken, what then happens to it, when enough has been recorded, and which promise is not kept."""

    breaks: Callable[[Patch], None]
    rule: Rule
    is_enough: Callable[[History], bool] = _many_writes
    happens: Callable[[Suite], Awaitable[None]] = _nothing


def _drop_a_replay(patch: Patch) -> None:
    entries_after = RoomHub.entries_after

    def without_one(self: RoomHub, seq: int) -> list[Any]:
        found = entries_after(self, seq)
        return found[:1] + found[2:]

    patch.setattr(RoomHub, "entries_after", without_one)


def _swap_two_events(patch: Patch) -> None:
    for stream in (OneRoomStream, RoomOfStream):
        _swap_of(patch, stream)


def _swap_of(patch: Patch, stream: type[OneRoomStream | RoomOfStream]) -> None:
    push = stream.push
    held: dict[Any, tuple[int, bytes, Any]] = {}

    def swapping(self: Any, seq: int, event: bytes, live: Any = None) -> None:
        before = held.pop(self, None)
        if before is None and seq % 5 == 0:
            held[self] = (seq, event, live)
            return
        push(self, seq, event, live)
        if before is not None:
            push(self, *before)

    patch.setattr(stream, "push", swapping)


def _double_sends(patch: Patch) -> None:
    def renamed(draft: Any) -> Any:
        return replace(draft, request_id=f"{random.random()}")

    send, put = Messages.send, Messages.put
    patch.setattr(Messages, "send", lambda self, draft, deadline: send(self, renamed(draft), deadline))
    patch.setattr(Messages, "put", lambda self, draft, deadline: put(self, renamed(draft), deadline))


def _let_the_removed_listen_on(patch: Patch) -> None:
    patch.setattr(Hubs, "end_member", lambda *_: None)
    patch.setattr(StreamAccess, "changed", lambda *_: None)


def _count_one_too_much(patch: Patch) -> None:
    unread = model.unread

    def one_more(*ordinals: Any) -> Any:
        counted = unread(*ordinals)
        return replace(counted, count=counted.count + 1)

    patch.setattr(states_store, "unread", one_more)


def _keep_the_epoch(patch: Patch) -> None:
    patch.setattr(replays, "refusal_to_resume", lambda *_: None)


async def _restore(suite: Suite) -> None:
    rotate(suite.database.dsn("messages"), "messages")


def _lose_the_end_of_logs(patch: Patch) -> None:
    events = Messages.events

    async def without_the_last(self: Messages, *asked: Any) -> Any:
        stretch, end = await events(self, *asked)
        return replace(stretch, entries=stretch.entries[:-1]), end

    patch.setattr(Messages, "events", without_the_last)


def _leave_one_out_of_pages(patch: Patch) -> None:
    page = Messages.page

    async def without_one(self: Messages, *asked: Any, **kinds: Any) -> Any:
        found = await page(self, *asked, **kinds)
        return replace(found, messages=[*found.messages[:1], *found.messages[2:]])

    patch.setattr(Messages, "page", without_one)


def _lose_cursors(patch: Patch) -> None:
    move = ReadCursorsStore.move

    async def in_vain(self: ReadCursorsStore, wanted: Any) -> Any:
        moved = await move(self, replace(wanted, seq=wanted.seq // 2))
        return (replace(moved[0], seq=wanted.seq), moved[1]) if moved is not None else None

    patch.setattr(ReadCursorsStore, "move", in_vain)


def _let_the_muted_write(patch: Patch) -> None:
    async def in_vain(self: RoleStore, *_: Any) -> Role | None:
        return await self.find(RoleScope.GLOBAL, "default")

    patch.setattr(RoleStore, "assign_globally", in_vain)


def _take_all_for_online(patch: Patch) -> None:
    for name in ("presence_event", "changed_event"):
        patch.setattr(presence_frames, name, _of_somebody_online(getattr(presence_frames, name)))


def _of_somebody_online(event: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda time, who, presence: event(time, who, replace(presence, state=PresenceState.ONLINE))


# Those of one group break a suite at once: each breaks another promise.
GROUPS: dict[str, dict[str, Sabotage]] = {
    "what is written and counted": {
        "a replay is dropped": Sabotage(_drop_a_replay, Rule.MISSED),
        "a send is doubled": Sabotage(_double_sends, Rule.DOUBLED),
        "a count is off by one": Sabotage(_count_one_too_much, Rule.UNREAD),
        "the muted write": Sabotage(_let_the_muted_write, Rule.MUTED, lambda history: len(history.mutings) >= 1),
        "all are taken for online": Sabotage(_take_all_for_online, Rule.PRESENCE),
    },
    "what is followed and read": {
        "two events are swapped": Sabotage(_swap_two_events, Rule.REORDERED),
        "who was removed listens on": Sabotage(
            _let_the_removed_listen_on, Rule.LEAKED, lambda history: any(one > LEAK_SECONDS for one in leaks(history))
        ),
        "an epoch is kept after a restore": Sabotage(_keep_the_epoch, Rule.RESUMED, happens=_restore),
        "pages leave one out": Sabotage(_leave_one_out_of_pages, Rule.STALE),
        "cursors are lost": Sabotage(_lose_cursors, Rule.CURSORS, lambda history: len(history.cursor_moves) >= 8),
    },
    "what is kept": {"a log loses its end": Sabotage(_lose_the_end_of_logs, Rule.LOST)},
}
