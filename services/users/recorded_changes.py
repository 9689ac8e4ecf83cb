"""How changes of users stand in the schema's table of changes."""

from collections.abc import Mapping
from typing import Any

from services.runtime.data.change_log import ChangeLog
from services.users.model import Change, ChangeKind
from services.users.tables import change_counter, changes, unordered_changes


def _values(change: Change) -> Mapping[str, Any]:
    values = {"kind": change.kind, "user_uid": change.user_uid, "user_id": change.user_id}
    return values if change.time is None else {**values, "create_time": change.time}


def _change(row: Any) -> Change:
    return Change(
        version=row.version, kind=ChangeKind(row.kind), user_uid=row.user_uid, user_id=row.user_id, time=row.create_time
    )


change_log: ChangeLog[Change] = ChangeLog(
    changes, change_counter, unordered_changes, values_of=_values, change_of=_change
)
record = change_log.record
