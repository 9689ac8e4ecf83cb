"""How changes of rooms, memberships and roles stand in the schema's table of changes."""

from collections.abc import Mapping
from typing import Any

from services.rooms.model import Change, ChangeKind, RoleScope
from services.rooms.tables import change_counter, changes, unordered_changes
from services.runtime.data.change_log import ChangeLog


def _values(change: Change) -> Mapping[str, Any]:
    scope, name = change.role or (None, None)
    return {
        "kind": change.kind,
        "room_uid": change.room_uid,
        "user_uid": change.user_uid,
        "user_id": change.user_id,
        "role_scope": scope,
        "role_name": name,
        "room_id": change.room_id,
    }


def change_of(row: Any) -> Change:
    """Return the change of a row of the table."""
    kind = ChangeKind(row.kind)
    role = (RoleScope(row.role_scope), row.role_name) if kind is ChangeKind.ROLE_CHANGED else None
    if role is not None and role[0] is RoleScope.UNKNOWN:
        # Whose it is can't be told, so it may be anybody's.
        kind, role = ChangeKind.UNKNOWN, None
    return Change(
        version=row.version,
        kind=kind,
        room_uid=row.room_uid,
        user_uid=row.user_uid,
        user_id=row.user_id,
        role=role,
        time=row.create_time,
        room_id=row.room_id,
    )


change_log: ChangeLog[Change] = ChangeLog(
    changes, change_counter, unordered_changes, values_of=_values, change_of=change_of
)
record = change_log.record
