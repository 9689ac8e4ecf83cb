"""chatkit.internal.feeds.v1.PresenceFeedService: protos to orders, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2
from google.protobuf.message import Message

from services.runtime.access.port import AccessQuery
from services.runtime.calls.call import Call
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.policies import Limits, methods_of
from services.runtime.contract.validation import Validator
from services.runtime.ids import NO_ROOM, UserId
from services.users.presence.followers import ChangeWatched, Follow, Leave, Order, PresenceFeeds
from services.users.presence.servicer import PresenceServicer

(_SUBSCRIBE,) = [method for method in methods_of(PresenceServicer.SERVICE) if method.streams]


class PresenceFeedServicer:
    """chatkit.internal.feeds.v1.PresenceFeedService. It answers bytes, as PresenceService does."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["PresenceFeedService"]

    def __init__(self, feeds: PresenceFeeds, limits: Limits) -> None:
        self._feeds = feeds
        self._validator = Validator(limits)

    async def FollowPresence(
        self, requests: AsyncIterator[pb2.FollowPresenceRequest], call: Call
    ) -> AsyncIterator[bytes]:
        """Follow presence for many."""
        async with aclosing(self._feeds.follow(self._orders(requests), call.on_end)) as frames:
            async for frame in frames:
                yield frame

    async def _orders(self, requests: AsyncIterator[pb2.FollowPresenceRequest]) -> AsyncIterator[Order]:
        async for request in requests:
            for begun in request.follow:
                yield self._follow(begun)
            for change in request.change:
                yield self._change(change)
            for number in request.leave:
                yield Leave(number)

    def _follow(self, begun: pb2.PresenceFollower) -> Follow:
        follower = begun.follower
        query = AccessQuery(
            NO_ROOM,
            UserId(follower.user_id),
            superuser=False,
            membership=method_policy_pb2.MEMBERSHIP_NOT_REQUIRED,
            permission=_SUBSCRIBE.policy.permission,
            token_time=follower.token_time,
        )
        return Follow(
            follower.number,
            follower.user_id,
            None if follower.superuser else query,
            begun.online,
            list(dict.fromkeys(begun.watch_user_ids)),
            self._error_of(begun),
        )

    def _change(self, change: pb2.WatchChange) -> ChangeWatched:
        watched, unwatched = list(dict.fromkeys(change.watch_user_ids)), frozenset(change.unwatch_user_ids)
        return ChangeWatched(change.number, change.change_number, watched, unwatched, self._error_of(change))

    def _error_of(self, item: Message) -> ChatkitError | None:
        try:
            self._validator.check(item)
        except ChatkitError as error:
            return error
        return None
