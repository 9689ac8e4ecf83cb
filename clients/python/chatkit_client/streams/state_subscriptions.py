"""Streams that begin with a state and go on with its changes: a user's rooms and members, and who is there.

They have no positions: each stream begins with the whole state, which `opened` announces and `caught_up` ends. Whoever
keeps it forgets what was not sent in between.
"""

from collections.abc import AsyncGenerator, Iterable

from chatkit_client.calls import Calls
from chatkit_client.proto.rooms.v1 import rooms_service_pb2, user_event_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2, presence_service_pb2
from chatkit_client.streams.following import Following


class UserSubscription(Following[user_event_pb2.UserEvent, user_event_pb2.UserEvent]):
    """An async iterator of a user's rooms and of those who are in them; use it as a context manager.

    Raises ChatkitError when an ending is final, for example USER_NOT_FOUND.
    """

    def __init__(self, user_id: str, calls: Calls) -> None:
        super().__init__(calls)
        self._user_id = user_id

    def _request(self) -> rooms_service_pb2.SubscribeUserRequest:
        return rooms_service_pb2.SubscribeUserRequest(user_id=self._user_id)

    async def _take(self, event: user_event_pb2.UserEvent) -> AsyncGenerator[user_event_pb2.UserEvent, None]:
        if not event.HasField("heartbeat"):
            yield event


class PresenceSubscription(Following[presence_event_pb2.PresenceEvent, presence_event_pb2.PresenceEvent]):
    """An async iterator of who comes and goes, which makes the user online if it is to; use it as a context manager.

    Raises ChatkitError when an ending is final, for example USER_NOT_FOUND.
    """

    def __init__(self, user_id: str, *, online: bool, watch_user_ids: Iterable[str], calls: Calls) -> None:
        super().__init__(calls)
        self._asked = presence_service_pb2.SubscribePresenceRequest(
            user_id=user_id, online=online, watch_user_ids=watch_user_ids
        )

    def _request(self) -> presence_service_pb2.SubscribePresenceRequest:
        return self._asked

    async def _take(
        self, event: presence_event_pb2.PresenceEvent
    ) -> AsyncGenerator[presence_event_pb2.PresenceEvent, None]:
        if not event.HasField("heartbeat"):
            yield event
