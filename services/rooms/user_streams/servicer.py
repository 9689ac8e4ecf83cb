"""chatkit.internal.feeds.v1.UserFeedService: what rooms tells those who carry it on to devices."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2

from services.rooms.user_streams.feed import UserFeeds
from services.runtime.calls.call import Call


class UserFeedServicer:
    """chatkit.internal.feeds.v1.UserFeedService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["UserFeedService"]

    def __init__(self, feeds: UserFeeds) -> None:
        self._feeds = feeds

    async def FollowUsers(self, requests: AsyncIterator[pb2.FollowUsersRequest], call: Call) -> AsyncIterator[bytes]:
        """Follow many users."""
        async with aclosing(self._feeds.follow(requests, call.on_end)) as frames:
            async for frame in frames:
                yield frame
