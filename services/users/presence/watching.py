"""Whom somebody watches: who they are, and how it stands with them, as of a version after which the hub tells more."""

from collections.abc import Iterable, Mapping

from services.runtime.clock import Clock
from services.runtime.contract.absent import users_not_found
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.ids import UserUid
from services.users.model import ABSENT, Presence, Presences
from services.users.presence import frames
from services.users.presence.hub import PresenceHub, PresenceSubscription


class Watching:
    """Begins to watch users for streams and followers; what many ask at once is read at once."""

    def __init__(
        self,
        users: CoalescedReads[str, dict[str, UserUid]],
        presences: CoalescedReads[UserUid, Presences],
        hub: PresenceHub,
        clock: Clock,
    ) -> None:
        self._users = users
        self._presences = presences
        self._hub = hub
        self._clock = clock

    async def resolve(self, user_ids: Iterable[str]) -> dict[str, UserUid]:
        """Return the uids of users by their ids, each once and in their order; raises USER_NOT_FOUND."""
        wanted = dict.fromkeys(user_ids)
        if not wanted:
            return {}
        found = await self._users.ask(wanted)
        missing = [user_id for user_id in wanted if user_id not in found]
        if missing:
            raise users_not_found(missing)
        return {user_id: found[user_id] for user_id in wanted}

    async def begin(
        self, subscription: PresenceSubscription, watched: Mapping[str, UserUid]
    ) -> tuple[int, list[bytes]]:
        """Watch users, given by their ids, who are not watched yet, and read how it stands with them.

        Return that as frames, and the version that it is as of. `subscription.told` lets later changes go.
        """
        if not watched:
            return 0, []
        await self._hub.watch(subscription, watched)
        state = await self._presences.ask(watched.values())
        now = self._clock.now()
        return state.version, [
            frames.presence_event(now, user_id, presence) for user_id, presence in _told(watched, state)
        ]

    async def read(self, user_ids: Iterable[str]) -> list[tuple[str, Presence]]:
        """Return how it stands with those users that exist, once each and in the order given."""
        wanted = dict.fromkeys(user_ids)
        found = await self._users.ask(wanted)
        known = {user_id: found[user_id] for user_id in wanted if user_id in found}
        return _told(known, await self._presences.ask(known.values())) if known else []


def _told(users: Mapping[str, UserUid], state: Presences) -> list[tuple[str, Presence]]:
    return [(user_id, state.of_user.get(user_uid, ABSENT)) for user_id, user_uid in users.items()]
