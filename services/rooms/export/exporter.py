"""Tells everything that rooms has of a user."""

from functools import partial
from uuid import UUID

from services.rooms.export.store import FIRST_CREATED, UserExportStore
from services.rooms.model import RoleScope
from services.rooms.protos import room_proto
from services.runtime.erasure.exporting import Records, fields_of_message, paged, record
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import RoomUid

_record = partial(record, "rooms")
_FIRST_ROOM = RoomUid(UUID(int=0))


class UserExporter:
    """What ErasureService.Export sends of rooms."""

    def __init__(self, store: UserExportStore) -> None:
        self._store = store

    async def export_user(self, user: ErasedUser) -> Records:
        """Yield all records of a user."""
        store = self._store
        async for one in paged(partial(store.memberships, user), "", lambda one: one.room_id):
            fields = {"room_id": one.room_id, "create_time": one.create_time, "is_given": one.is_given}
            yield _record("membership", fields)
        async for created in paged(partial(store.created, user), FIRST_CREATED, lambda one: one.place):
            room = fields_of_message(room_proto(created.room))
            yield _record("room_created", {**room, "request_id": created.request_id})
        async for direct in paged(partial(store.direct, user), _FIRST_ROOM, lambda one: one.uid):
            yield _record("direct_room", fields_of_message(room_proto(direct)))
        name = await store.global_role(user)
        if name is not None:
            yield _record("role", {"scope": _scope(RoleScope.GLOBAL), "name": name})
        async for room_id, role in paged(partial(store.room_roles, user), "", lambda one: one[0]):
            yield _record("role", {"scope": _scope(RoleScope.ROOM), "name": role, "room_id": room_id})


def _scope(scope: RoleScope) -> str:
    return f"ROLE_SCOPE_{scope.name}"
