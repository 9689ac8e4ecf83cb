"""The use cases of messages: no gRPC, no SQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

from services.messages import wire
from services.messages.committer import Committer
from services.messages.epoch import Epoch
from services.messages.hub import RoomHub
from services.messages.hubs import Hubs, room_replaced
from services.messages.log import Appended
from services.messages.model import (
    Draft,
    Opening,
    Position,
    Snapshot,
    Start,
    refusal_to_resume,
    room_epoch,
)
from services.messages.store import LogStore
from services.messages.subscription import Subscription
from services.runtime.access import AccessChecker, AccessQuery, RoomGrant
from services.runtime.access_cache import Freshness
from services.runtime.clock import Clock
from services.runtime.errors import ChatkitError, NotFound, Unavailable
from services.runtime.identity import Caller

_REPLAYS_AT_ONCE = 4
OnEnd = Callable[[Callable[[ChatkitError], None]], None]
# What a send leaves of its caller's patience for the answer.
_SHAVE_SECONDS = 0.2


class Messages:
    """What can be done with the rooms' logs."""

    def __init__(
        self,
        *,
        store: LogStore,
        committer: Committer,
        hubs: Hubs,
        epoch: Epoch,
        access: AccessChecker,
        freshness: Freshness,
        ending_spread: float,
        clock: Clock,
        most_replayed: int,
    ) -> None:
        self._store = store
        self._committer = committer
        self._hubs = hubs
        self._epoch = epoch
        self._access = access
        self._freshness = freshness
        self._ending_spread = ending_spread
        self._clock = clock
        self._most_replayed = most_replayed
        self._replays = asyncio.Semaphore(_REPLAYS_AT_ONCE)

    async def send(self, draft: Draft, seconds: float) -> Appended:
        """Append a message; it is on disk when this returns."""
        return await self._committer.send(draft, seconds - _SHAVE_SECONDS)

    async def get(self, room_id: str, room_uid: UUID, seq: int) -> bytes:
        """Return one serialized message."""
        message = await self._store.find(room_uid, seq)
        if message is None:
            raise NotFound(
                "MESSAGE_NOT_FOUND",
                "the room has no such message",
                metadata={"room_id": room_id, "seq": str(seq)},
            )
        return message

    async def page(self, room_uid: UUID, seq: int, most: int, *, newer: bool) -> list[tuple[int, bytes]]:
        """Return serialized messages with their seqs, after `seq` in order or before it backwards."""
        return await self._store.page(room_uid, seq, most, newer=newer)

    async def subscribe(
        self, query: AccessQuery, grant: RoomGrant, caller: Caller, start: Start, on_end: OnEnd
    ) -> AsyncIterator[bytes]:
        """Yield the frames of a room's stream, `closed` included, and then raise why it ended.

        `on_end` is told how the stream ends with its token once it is open, and can say goodbye.
        """
        delay = random.uniform(0, self._ending_spread)
        subscription = Subscription(grant, query, caller, self._clock, self._freshness, ending_delay=delay)
        hub = self._hubs.join(query.room_id, subscription)
        try:
            await self._catch_up(hub, start)
            await self._confirm(subscription)
            self._open(hub, subscription, start)
            on_end(subscription.cut)
            try:
                async for frame in subscription.frames():
                    yield frame
            except ChatkitError as error:
                position = Position(self._epoch_of(hub.room_uid), subscription.sent_seq)
                yield wire.closed_event(query.room_id, self._clock.now(), error, position)
                raise
        finally:
            self._hubs.leave(subscription)

    async def _confirm(self, subscription: Subscription) -> None:
        """Ask again, because a change before `join` would not have ended the stream.

        A kept answer is as good as rooms': a change drops it, and the questions under way, in the step in which it ends
        or doubts the streams that have joined. So what is answered here has seen every change that came before `join`,
        and whatever comes later finds the stream.
        """
        doubts = subscription.doubts
        grant = await self._access.check(subscription.query)
        if subscription.error is not None:
            raise subscription.error
        if grant.room_uid != subscription.room_uid:
            raise room_replaced()
        subscription.trust(grant.roles, doubts)

    async def _catch_up(self, hub: RoomHub, start: Start) -> None:
        async with self._replays:
            await hub.follow(self._most_replayed)
        if start.after is not None and start.after.seq > hub.last:
            # The client knows more than this process: another one has appended.
            await self._hubs.look(hub.room_uid)

    def _open(self, hub: RoomHub, subscription: Subscription, start: Start) -> None:
        """Queue the beginning of the stream. Nothing is awaited here: so nothing is missed, and nothing doubled."""
        epoch = self._epoch_of(hub.room_uid)
        snapshot = self._snapshot(hub, epoch, start)
        if start.after is not None and snapshot is None:
            kept, sent_seq = hub.entries_after(start.after.seq), start.after.seq
        else:
            kept = hub.last_entries(start.last)
            sent_seq = kept[0][0].seq - 1 if kept else hub.last
        opening = Opening(
            Position(epoch, hub.last),
            hub.oldest_seq,
            snapshot,
            [entry for entry, _ in kept],
        )
        now = self._clock.now()
        subscription.open(
            sent_seq,
            [
                (0, wire.opened_event(hub.room_id, now, opening)),
                *((entry.seq, event) for entry, event in kept),
                (hub.last, wire.caught_up_event(hub.room_id, now, hub.last)),
            ],
        )

    def _snapshot(self, hub: RoomHub, epoch: str, start: Start) -> Snapshot | None:
        if start.after is None:
            return Snapshot.NEW
        return refusal_to_resume(start.after, epoch, hub.head, self._most_replayed)

    def _epoch_of(self, room_uid: UUID) -> str:
        deployment = self._epoch.value
        if deployment is None:
            raise Unavailable(
                "DATABASE_UNAVAILABLE",
                "the database was not reached yet",
                retry_after=timedelta(seconds=1),
            )
        return room_epoch(deployment, room_uid)
