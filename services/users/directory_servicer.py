"""chatkit.internal.directory.v1.DirectoryService: what users tells other services."""

from collections.abc import AsyncIterator, Iterator, Sequence

from chatkit.internal.directory.v1 import directory_service_pb2 as pb2

from services.runtime.calls.call import Call
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.streaming.event_queue import FRAME_BYTES
from services.users.model import Change, ChangeKind
from services.users.protos import resolved_proto, user_proto
from services.users.service import Users


class DirectoryServicer:
    """chatkit.internal.directory.v1.DirectoryService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["DirectoryService"]

    def __init__(self, users: Users, feed: ChangeFeed[Change]) -> None:
        self._users = users
        self._feed = feed

    async def ResolveUsers(self, request: pb2.ResolveUsersRequest, _call: Call) -> pb2.ResolveUsersResponse:
        """Tell which users exist."""
        found = await self._users.find(request.user_ids)
        return pb2.ResolveUsersResponse(
            users=[resolved_proto(user, with_user=request.with_users, with_names=request.with_names) for user in found]
        )

    async def WatchUsers(self, request: pb2.WatchUsersRequest, _call: Call) -> AsyncIterator[pb2.WatchUsersResponse]:
        """Follow the changes."""
        async for update in self._feed.follow(request.after_version, request.epoch):
            for frame in _frames(await self._events(update)):
                yield frame

    async def _events(self, update: FeedUpdate[Change]) -> list[pb2.DirectoryEvent]:
        if update.is_reset:
            return [pb2.DirectoryEvent(version=update.version, reset=pb2.DirectoryReset(epoch=update.epoch))]
        if any(change.kind is ChangeKind.FORGOTTEN for change in update.changes):
            return [pb2.DirectoryEvent(version=update.version, reset=pb2.DirectoryReset(epoch=update.epoch))]
        if not update.changes:
            return [pb2.DirectoryEvent(version=update.version, heartbeat=pb2.DirectoryHeartbeat(epoch=update.epoch))]
        # Each user once, at the place of their last change: they are shown as they are now.
        versions = {
            change.user_id: change.version for change in update.changes if change.kind is ChangeKind.USER_UPDATED
        }
        users = await self._users.find(list(versions)) if versions else []
        events = [pb2.DirectoryEvent(version=versions[user.id], user_updated=user_proto(user)) for user in users]
        return sorted(events, key=lambda event: event.version)


def _frames(events: Sequence[pb2.DirectoryEvent]) -> Iterator[pb2.WatchUsersResponse]:
    """Put events into frames that every client takes."""
    frame, size = pb2.WatchUsersResponse(), 0
    for event in events:
        if size and size + event.ByteSize() > FRAME_BYTES:
            yield frame
            frame, size = pb2.WatchUsersResponse(), 0
        frame.events.append(event)
        size += event.ByteSize()
    if size:
        yield frame
