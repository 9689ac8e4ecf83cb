"""The use cases of messages: no gRPC, no SQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

from services.messages import frames
from services.messages.drafts import Unattached
from services.messages.fanout.hub import RoomHub
from services.messages.fanout.hubs import Hubs
from services.messages.fanout.replays import Replays, log_beyond_head
from services.messages.heaviest_senders import HeaviestSenders
from services.messages.log.committer import Committer
from services.messages.log.edits import message_not_found
from services.messages.log.outcomes import Appended, Result
from services.messages.log.repetitions import Repetitions
from services.messages.log.store import LogStore, LogStretch
from services.messages.model import (
    Draft,
    Edit,
    Head,
    MessageChange,
    MessagePage,
    Position,
    Start,
)
from services.messages.read_states.live_cursors import Cursors
from services.messages.streams.endings import room_replaced
from services.messages.streams.one_room_stream import OneRoomStream
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessChecker, AccessQuery, RoomGrant
from services.runtime.clock import Clock
from services.runtime.contract.errors import Aborted, ChatkitError, OutOfRange
from services.runtime.deadline import Deadline
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid, UserUid
from services.runtime.streaming.open_streams import OnEnd


class Messages:
    """What can be done with the rooms' logs."""

    def __init__(
        self,
        *,
        store: LogStore,
        committer: Committer,
        repetitions: Repetitions,
        hubs: Hubs,
        replays: Replays,
        cursors: Cursors,
        access: AccessChecker,
        freshness: Freshness,
        ending_spread: float,
        senders: HeaviestSenders,
        clock: Clock,
    ) -> None:
        self._store = store
        self._senders = senders
        self._committer = committer
        self._repetitions = repetitions
        self._hubs = hubs
        self._cursors = cursors
        self._access = access
        self._freshness = freshness
        self._ending_spread = ending_spread
        self._clock = clock
        self._replays = replays

    async def send(self, draft: Draft, deadline: Deadline) -> Appended:
        """Append a message; it is on disk when this returns."""
        self._senders.count(draft.sender_id)
        return await self._committer.send(draft, deadline)

    def put(self, draft: Draft, deadline: Deadline) -> "asyncio.Future[Appended]":
        """Let a message wait for its turn behind those of its room, and return what it will be; see Committer.put."""
        self._senders.count(draft.sender_id)
        return self._committer.put(draft, deadline)

    async def send_each(self, drafts: Sequence[Draft], deadline: Deadline) -> list[Result]:
        """Append messages, those to one room in the order given, and return what became of each."""
        for draft in drafts:
            self._senders.count(draft.sender_id)
        return await self._committer.send_each(drafts, deadline)

    async def sent_before(self, drafts: Sequence[Draft]) -> list[Result | None]:
        """Return what answers each of some sends that can't be made, if it was made before."""
        found = await self._repetitions.of_sends(drafts)
        return [found.get(draft.key) for draft in drafts]

    async def settle(self, sends: Sequence[Unattached]) -> list[Result]:
        """Return what answers sends whose files can't be attached: the message where it was sent before."""
        if not sends:
            return []
        try:
            before = await self.sent_before([one.draft for one in sends])
        except ChatkitError as error:
            return [error for _ in sends]
        return [found or one.refusal for one, found in zip(sends, before, strict=True)]

    async def edited_before(self, edit: Edit) -> Result | None:
        """Return what answers an edit that can't be made, if it was made before, or no edit can be made."""
        return await self._repetitions.of_edit(edit)

    async def origin(
        self, room_id: str, seq: int, grant: RoomGrant, query_for_others: AccessQuery | None
    ) -> tuple[UserUid, str]:
        """Return who sent a message, and its request id; `query_for_others` is asked first unless it is the user's own.

        Neither ever changes, so both may be read before the message is changed.

        Raises MESSAGE_NOT_FOUND.
        """
        origin = await self._store.find_origin(grant.room_uid, seq)
        if origin is None:
            raise message_not_found(room_id, seq)
        if query_for_others is not None and origin[0] != grant.user_uid:
            await self._access.check(query_for_others)
        return origin

    async def change(
        self, change: MessageChange, grant: RoomGrant, query_for_others: AccessQuery | None, deadline: Deadline
    ) -> Appended:
        """Edit or delete a message; `query_for_others` is asked first unless it is the user's own."""
        if query_for_others is not None:
            await self.origin(change.room_id, change.seq, grant, query_for_others)
        return await self._committer.send(change, deadline)

    async def get(self, room_id: str, room_uid: RoomUid, seq: int) -> bytes:
        """Return one serialized message; a deleted one is not there. Raises MESSAGE_NOT_FOUND."""
        message = await self._store.find(room_uid, seq)
        if message is None:
            raise message_not_found(room_id, seq)
        return message

    async def get_some(self, room_uid: RoomUid, seqs: Sequence[int]) -> list[bytes]:
        """Return those of some serialized messages that are there, each once and in the order of `seqs`."""
        found = await self._store.find_some(room_uid, seqs)
        return [found[seq] for seq in dict.fromkeys(seqs) if seq in found]

    async def page(self, room_uid: RoomUid, seq: int, size: int, *, newer: bool) -> MessagePage:
        """Return the next messages after `seq`, or before it."""
        found = await self._store.page(room_uid, seq, size + 1, newer=newer)
        page, more = found[:size], len(found) > size
        # Whoever reads on has come from the other side.
        return MessagePage(page, bool(page), more) if newer else MessagePage(page[::-1], more, bool(page))

    async def page_around(self, room_uid: RoomUid, seq: int, size: int) -> MessagePage:
        """Return the messages on both sides of `seq` with the one there: half of them older, if there are as many."""
        older = await self._store.page(room_uid, seq, size + 1, newer=False)
        newer = await self._store.page(room_uid, seq - 1, size + 1, newer=True)
        # What one side lacks the other one has more.
        before = min(len(older), max(size // 2, size - len(newer)))
        after = min(len(newer), size - before)
        return MessagePage([*older[:before][::-1], *newer[:after]], len(older) > before, len(newer) > after)

    async def events(self, room_uid: RoomUid, after: Position | None, most: int) -> tuple[LogStretch, Position]:
        """Return a stretch of the log after a position, or from its beginning, and where the log ends.

        Raises HISTORY_GONE for what retention has swept, and LOG_RESET for a position of another log.
        """
        epoch = self._replays.epoch_of(room_uid)
        if after is not None and after.epoch != epoch:
            raise log_reset()
        stretch = await self._store.after(room_uid, after.seq if after is not None else 0, most)
        if after is not None:
            _refuse_to_list(room_uid, after.seq, stretch.head)
        return stretch, Position(epoch, stretch.head.seq)

    async def subscribe(
        self,
        query: AccessQuery,
        grant: RoomGrant,
        caller: Caller,
        start: Start,
        on_end: OnEnd,
        *,
        includes_cursors: bool = False,
    ) -> AsyncIterator[bytes]:
        """Yield the frames of a room's stream, `closed` included, and then raise why it ended.

        `on_end` is told how the stream ends with its token once it is open, and can say goodbye.
        """
        delay = random.uniform(0, self._ending_spread)
        stream = OneRoomStream(
            grant,
            query,
            caller,
            self._clock,
            self._freshness,
            ending_delay=delay,
            includes_cursors=includes_cursors,
        )
        self._hubs.attach(stream)
        hub = self._hubs.join(query.room_id, stream)
        self._cursors.join(query.room_id, stream)
        try:
            await self._replays.read_page([(hub, start)])
            await self._cursors.follow(stream)
            await self._confirm(stream)
            epoch = self._open(hub, stream, start)
            on_end(stream.queue.cut)
            try:
                async for frame in stream.queue.frames():
                    yield frame
            except ChatkitError as error:
                position = Position(epoch, stream.queue.sent_seq)
                yield frames.closed_event(query.room_id, self._clock.now(), error, position)
                raise
        finally:
            self._cursors.leave(stream)
            self._hubs.leave(stream)
            self._hubs.detach(stream)

    async def _confirm(self, stream: OneRoomStream) -> None:
        """Ask again, because a change before `join` would not have ended the stream.

        A kept answer is as good as rooms': a change drops it, and the questions under way, in the step in which it ends
        or doubts the streams that have joined. So what is answered here has seen every change that came before `join`,
        and whatever comes later finds the stream.
        """
        doubts = stream.doubts
        grant = await stream.ask(self._access)
        if stream.queue.error is not None:
            raise stream.queue.error
        if grant.room_uid != stream.room_uid:
            raise room_replaced()
        stream.trust(grant.roles, doubts)

    def _open(self, hub: RoomHub, stream: OneRoomStream, start: Start) -> str:
        """Queue the beginning of the stream and return the epoch of what it shows.

        Nothing is awaited here: so nothing is missed, and nothing doubled.
        """
        beginning = self._replays.beginning(hub, start, self._clock.now())
        cursors = ((0, event) for event in self._cursors.events(stream))
        stream.queue.open(beginning.sent_seq, [*beginning.events, *cursors, beginning.caught_up])
        return beginning.epoch


def log_reset() -> Aborted:
    """Return the error for a position that is of no place in the log as it is."""
    return Aborted("LOG_RESET", "the position is of another log: read the room anew")


def _refuse_to_list(room_uid: RoomUid, after_seq: int, head: Head) -> None:
    if after_seq > head.seq:
        log_beyond_head(room_uid, after_seq, head.seq)
        raise log_reset()
    if after_seq < head.oldest_seq - 1:
        raise OutOfRange(
            "HISTORY_GONE",
            f"events before {head.oldest_seq} are gone by retention",
            metadata={"oldest_seq": str(head.oldest_seq)},
        )
