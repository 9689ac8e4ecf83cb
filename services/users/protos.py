"""Users as the contract shows them, and as it describes those to create."""

from collections.abc import Sequence

from chatkit.internal.directory.v1 import directory_service_pb2
from chatkit.users.v1 import presence_event_pb2, user_pb2, users_service_pb2

from services.runtime.contract import json_values
from services.runtime.contract.timestamps import timestamp
from services.users.model import Draft, Presence, PresenceState, User

_STATES = {
    PresenceState.UNKNOWN: presence_event_pb2.PRESENCE_STATE_UNSPECIFIED,
    PresenceState.ONLINE: presence_event_pb2.PRESENCE_STATE_ONLINE,
    PresenceState.OFFLINE: presence_event_pb2.PRESENCE_STATE_OFFLINE,
}


def user_protos(users: Sequence[User]) -> list[user_pb2.User]:
    """Return users as the contract shows them."""
    return [user_proto(user) for user in users]


def user_proto(user: User) -> user_pb2.User:
    """Return a user as the contract shows them."""
    return user_pb2.User(
        id=user.id,
        name=user.name,
        avatar_url=user.avatar_url,
        custom_data=json_values.struct_of(user.custom_data),
        create_time=timestamp(user.create_time),
        update_time=timestamp(user.update_time),
    )


def resolved_proto(user: User, *, with_user: bool, with_names: bool) -> directory_service_pb2.ResolvedUser:
    """Return who a user is for another service, with the whole user or what is shown of them, where that is wanted."""
    resolved = directory_service_pb2.ResolvedUser(id=user.id, uid=user.uid.bytes)
    if with_user:
        resolved.user.CopyFrom(user_proto(user))
    if with_names:
        resolved.name, resolved.avatar_url = user.name, user.avatar_url
    return resolved


def presence_proto(user_id: str, presence: Presence) -> presence_event_pb2.Presence:
    """Return whether a user is there as the contract shows it."""
    since = timestamp(presence.change_time) if presence.change_time is not None else None
    return presence_event_pb2.Presence(user_id=user_id, state=_STATES[presence.state], change_time=since)


def draft_of(request: users_service_pb2.CreateUserRequest) -> Draft:
    """Return the user that a request describes."""
    custom_data = json_values.plain(request.custom_data) if request.HasField("custom_data") else None
    return Draft(id=request.id, name=request.name, avatar_url=request.avatar_url, custom_data=custom_data)
