"""The use cases of presence: no gRPC, no SQL."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserUid
from services.runtime.streaming.open_streams import OnEnd
from services.users.model import ABSENT, Presence, Presences
from services.users.presence import frames
from services.users.presence.access import PresenceAccess
from services.users.presence.coalesced_reads import CoalescedReads
from services.users.presence.hub import PresenceHub, PresenceSubscription
from services.users.presence.sessions import Sessions


@dataclass(frozen=True, slots=True)
class PresenceRequest:
    """What a stream is opened for: whose it is, whether it makes them online, and whom it watches, each once."""

    user_id: str
    online: bool
    watched: Sequence[str]


class PresenceStreams:
    """What can be done with presence."""

    def __init__(
        self,
        *,
        users: CoalescedReads[str, dict[str, UserUid]],
        presences: CoalescedReads[UserUid, Presences],
        sessions: Sessions,
        hub: PresenceHub,
        access: PresenceAccess,
        clock: Clock,
    ) -> None:
        self._users = users
        self._presences = presences
        self._sessions = sessions
        self._hub = hub
        self._access = access
        self._clock = clock

    async def subscribe(
        self, wanted: PresenceRequest, caller: Caller, query: AccessQuery | None, on_end: OnEnd
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a stream, `closed` included, and then raise why it ended.

        `on_end` is told how the stream ends with its token once it is open, and can say goodbye.
        """
        user_uid, watched = await self._resolve(wanted)
        subscription = PresenceSubscription(caller, query, self._clock)
        self._hub.join(subscription)
        try:
            await self._access.admit(subscription)
            async with self._sessions.online(user_uid, wanted.user_id) if wanted.online else nullcontext():
                await self._open(subscription, watched)
                on_end(subscription.queue.cut)
                async for frame in subscription.queue.frames():
                    yield frame
        except ChatkitError as error:
            # The session has ended by now, however long the last word takes.
            if subscription.queue.is_open:
                yield frames.closed_event(self._clock.now(), error)
            raise
        finally:
            self._hub.leave(subscription)

    async def get(self, user_ids: Iterable[str]) -> list[tuple[str, Presence]]:
        """Return how it stands with those users that exist, once each and in the order given."""
        wanted = dict.fromkeys(user_ids)
        found = await self._users.ask(wanted)
        known = {user_id: found[user_id] for user_id in wanted if user_id in found}
        return _told(known, await self._presences.ask(known.values())) if known else []

    async def _resolve(self, wanted: PresenceRequest) -> tuple[UserUid, dict[str, UserUid]]:
        all_ids = dict.fromkeys([wanted.user_id, *wanted.watched])
        found = await self._users.ask(all_ids)
        missing = [user_id for user_id in all_ids if user_id not in found]
        if missing:
            raise users_not_found(missing)
        return found[wanted.user_id], {user_id: found[user_id] for user_id in wanted.watched}

    async def _open(self, subscription: PresenceSubscription, watched: dict[str, UserUid]) -> None:
        """Queue the state of those who are watched; the changes that it does not know follow it."""
        state = Presences(0, {})
        if watched:
            await self._hub.watch(subscription, watched.values())
            state = await self._presences.ask(watched.values())
        if subscription.queue.error is not None:
            raise subscription.queue.error
        now = self._clock.now()
        told = [frames.presence_event(now, user_id, presence) for user_id, presence in _told(watched, state)]
        subscription.start(state.version, [frames.opened_event(now), *told, frames.caught_up_event(now)])


def _told(users: Mapping[str, UserUid], state: Presences) -> list[tuple[str, Presence]]:
    return [(user_id, state.of_user.get(user_uid, ABSENT)) for user_id, user_uid in users.items()]
