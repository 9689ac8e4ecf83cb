"""The tables of the schema `rooms`, for the stores; migrations/ makes them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.rooms.model import Room, Visibility
from services.runtime.data.change_tables import change_counter_of, unordered_changes_of
from services.runtime.data.columns import columns_of, fields_of
from services.runtime.erasure.tables import DeletionTables

metadata = MetaData(schema="rooms")
_now = func.clock_timestamp()
_id = Text(collation="C")

rooms = Table(
    "rooms",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("id", _id),
    Column("name", Text),
    Column("visibility", SmallInteger),
    Column("custom_data", JSONB(none_as_null=True)),
    Column("creator_id", _id),
    Column("member_count", Integer),
    Column("revision", BigInteger, server_default="1"),
    Column("push_notification_title_override", Text),
    Column("retention_days", Integer),
    # The two users of a direct room, ids and uids each in an order of their own; NULL for every other room.
    Column("direct_user_ids", ARRAY(_id)),
    Column("direct_user_uids", ARRAY(Uuid)),
    Column("create_time", DateTime(timezone=True), server_default=_now),
    Column("update_time", DateTime(timezone=True), server_default=_now),
)
memberships = Table(
    "memberships",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("user_id", _id, primary_key=True),
    Column("user_uid", Uuid),
    Column("room_id", _id),
    # Somebody else, who is no superuser, has made the user a member.
    Column("is_given", Boolean),
)
creations = Table(
    "creations",
    metadata,
    Column("creator_uid", Uuid, primary_key=True),
    Column("request_id", _id, primary_key=True),
    Column("content_hash", LargeBinary),
    Column("room_uid", Uuid),
)
roles = Table(
    "roles",
    metadata,
    Column("scope", SmallInteger, primary_key=True),
    Column("name", _id, primary_key=True),
    Column("permissions", ARRAY(Text)),
)
global_assignments = Table(
    "global_assignments",
    metadata,
    Column("user_uid", Uuid, primary_key=True),
    Column("user_id", _id),
    Column("role_name", _id),
)
room_assignments = Table(
    "room_assignments",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("user_uid", Uuid, primary_key=True),
    Column("room_id", _id),
    Column("user_id", _id),
    Column("role_name", _id),
)
changes = Table(
    "changes",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("kind", SmallInteger),
    Column("room_uid", Uuid),
    Column("user_uid", Uuid),
    Column("user_id", _id),
    Column("role_scope", SmallInteger),
    Column("role_name", _id),
    Column("create_time", DateTime(timezone=True), server_default=_now),
    Column("room_id", _id),
)
change_counter, unordered_changes = change_counter_of(changes), unordered_changes_of(changes)
# Who was in a room when it was deleted, by the version of that change, with which they go.
deleted_memberships = Table(
    "deleted_memberships",
    metadata,
    Column("user_id", _id, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("user_uid", Uuid),
)
# Members who are no users any more, because users was put back; they are let in nowhere.
absent_users = Table(
    "absent_users",
    metadata,
    Column("user_uid", Uuid, primary_key=True),
    Column("notice_time", DateTime(timezone=True), server_default=_now),
)
# Its one row is the epoch of users whose roll was called last.
roll_call = Table("roll_call", metadata, Column("only_row", Boolean, primary_key=True), Column("users_epoch", Text))

# Users who were deleted: nothing of theirs comes into being any more, and their tokens are of no use.
fences = Table(
    "fences",
    metadata,
    Column("uid", Uuid, primary_key=True),
    # Of the id, as long as there may be tokens; NULL from then on.
    Column("user_hash", LargeBinary),
    Column("fence_time", DateTime(timezone=True), server_default=_now),
)
deletion_tables = DeletionTables.of(metadata)

ROOM_COLUMNS = columns_of(rooms, Room)


def room_of(row: Any) -> Room:
    """Return the room of a row that has ROOM_COLUMNS."""
    differing = {
        "visibility": Visibility(row.visibility),
        "direct_user_ids": tuple(row.direct_user_ids or ()),
        "direct_user_uids": tuple(row.direct_user_uids or ()),
    }
    return Room(**fields_of(row, Room) | differing)
