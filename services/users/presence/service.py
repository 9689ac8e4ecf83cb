"""The use cases of presence: no gRPC, no SQL."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserUid
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.open_streams import OnEnd
from services.users.model import Presence
from services.users.presence import frames
from services.users.presence.access import PresenceAccess
from services.users.presence.hub import PresenceHub, PresenceSubscription
from services.users.presence.sessions import Sessions
from services.users.presence.watching import Watching


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
        watching: Watching,
        sessions: Sessions,
        hub: PresenceHub,
        access: PresenceAccess,
        clock: Clock,
    ) -> None:
        self._watching = watching
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
        found = await self._watching.resolve([wanted.user_id, *wanted.watched])
        user_uid, watched = found[wanted.user_id], {user_id: found[user_id] for user_id in wanted.watched}
        queue = EventQueue(caller, self._clock)
        subscription = PresenceSubscription(queue, query, self._clock)
        self._hub.join(subscription)
        try:
            await self._access.admit(subscription)
            async with self._sessions.online(user_uid, wanted.user_id) if wanted.online else nullcontext():
                await self._open(subscription, watched)
                on_end(queue.cut)
                async for frame in queue.frames():
                    yield frame
        except ChatkitError as error:
            # The session has ended by now, however long the last word takes.
            if queue.is_open:
                yield frames.closed_event(self._clock.now(), error)
            raise
        finally:
            self._hub.leave(subscription)

    async def get(self, user_ids: Iterable[str]) -> list[tuple[str, Presence]]:
        """Return how it stands with those users that exist, once each and in the order given."""
        return await self._watching.read(user_ids)

    async def _open(self, subscription: PresenceSubscription, watched: dict[str, UserUid]) -> None:
        """Queue the state of those who are watched; the changes that it does not know follow it."""
        version, told = await self._watching.begin(subscription, watched)
        if subscription.queue.error is not None:
            raise subscription.queue.error
        now = self._clock.now()
        subscription.start(version, [frames.opened_event(now), *told, frames.caught_up_event(now)])
