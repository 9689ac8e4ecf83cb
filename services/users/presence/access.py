"""Ends the streams of those whose role grants presence no longer: asks again where a role has changed.

Rooms being away ends none of them: everybody would be offline with it. A stream in doubt goes on until rooms answers.
"""

from collections.abc import Callable

from services.runtime.access.doubts import DoubtQueue
from services.runtime.access.port import AccessChange, AccessChecker, RoleAssigned, RoleChanged
from services.runtime.clock import Clock
from services.runtime.contract.errors import PermissionDenied, Unauthenticated
from services.runtime.steps import each
from services.users.presence.hub import PresenceHub, PresenceSubscription

_ASKED_AT_ONCE = 16


class PresenceAccess:
    """What changes of roles do to the streams of presence."""

    def __init__(self, access: AccessChecker, hub: PresenceHub, clock: Clock, *, retry_interval: float) -> None:
        self._access = access
        self._hub = hub
        self._in_doubt: DoubtQueue[PresenceSubscription] = DoubtQueue(
            self._ask, clock, asked_at_once=_ASKED_AT_ONCE, retry_interval=retry_interval
        )

    async def admit(self, subscription: PresenceSubscription) -> None:
        """Ask once more for a stream that the hub knows, because a change before that would not have ended it."""
        if subscription.query is not None:
            await subscription.doubt.ask(self._access, subscription.query)

    def changed(self, change: AccessChange) -> None:
        """Doubt the streams that a change may end."""
        match change:
            case RoleAssigned(room_uid=None):
                for subscription in self._hub.subscriptions_of(change.user_id):
                    self._doubt(subscription)
            case RoleChanged():
                role = change.role
                self._doubt_those(lambda one: one.doubt.may_depend_on(role))

    def missed(self) -> None:
        """Doubt every stream."""
        self._doubt_those(lambda _: True)

    def fresh_again(self) -> None:
        """Do nothing: nobody waited for it."""

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        await self._in_doubt.run()

    def _doubt_those(self, may_end: Callable[[PresenceSubscription], bool]) -> None:
        found = self._hub.subscriptions()
        self._hub.chores.put(each(found, lambda one: self._doubt(one) if may_end(one) else None))

    def _doubt(self, subscription: PresenceSubscription) -> None:
        if subscription.query is not None:
            subscription.doubt.rise()
            self._in_doubt.put(subscription)

    async def _ask(self, subscription: PresenceSubscription) -> None:
        if not self._hub.has(subscription):
            return
        try:
            await self.admit(subscription)
        except (PermissionDenied, Unauthenticated) as error:
            subscription.queue.cut(error)
