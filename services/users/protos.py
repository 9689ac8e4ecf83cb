"""Users as the contract shows them."""

from collections.abc import Sequence

from chatkit.users.v1 import user_pb2

from services.runtime.contract import json_values
from services.runtime.contract.timestamps import timestamp
from services.users.model import User


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
