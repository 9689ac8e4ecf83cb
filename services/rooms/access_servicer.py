"""chatkit.internal.access.v1.AccessService: what rooms tells other services."""

from collections.abc import AsyncIterator

from chatkit.internal.access.v1 import access_service_pb2 as pb2

from services.rooms.access import Access
from services.rooms.feed import ChangeFeed, News
from services.rooms.model import Change, ChangeKind
from services.runtime.access import AccessQuery
from services.runtime.handlers import Call


class AccessServicer:
    """chatkit.internal.access.v1.AccessService."""

    def __init__(self, access: Access, feed: ChangeFeed) -> None:
        self._access = access
        self._feed = feed

    async def CheckAccess(self, request: pb2.CheckAccessRequest, _call: Call) -> pb2.CheckAccessResponse:
        """Answer for one user and room."""
        query = AccessQuery(
            request.room_id, request.user_id or None, request.superuser, request.membership, request.permission
        )
        grant = await self._access.check(query)
        return pb2.CheckAccessResponse(
            room_uid=grant.room_uid.bytes,
            user_uid=grant.user_uid.bytes if grant.user_uid is not None else b"",
            version=grant.version,
        )

    async def WatchAccess(self, request: pb2.WatchAccessRequest, _call: Call) -> AsyncIterator[pb2.WatchAccessResponse]:
        """Follow the changes."""
        async for news in self._feed.follow(request.after_version):
            yield pb2.WatchAccessResponse(events=_events(news))


def _events(news: News) -> list[pb2.AccessEvent]:
    if news.is_reset:
        return [pb2.AccessEvent(version=news.version, reset=pb2.AccessReset())]
    if not news.changes:
        return [pb2.AccessEvent(version=news.version, heartbeat=pb2.AccessHeartbeat())]
    return [_event(change) for change in news.changes]


def _event(change: Change) -> pb2.AccessEvent:
    member = pb2.MemberChange(room_uid=change.room_uid.bytes, user_uid=change.user_uid.bytes)
    match change.kind:
        case ChangeKind.MEMBER_ADDED:
            return pb2.AccessEvent(version=change.version, member_added=member)
        case ChangeKind.MEMBER_REMOVED:
            return pb2.AccessEvent(version=change.version, member_removed=member)
