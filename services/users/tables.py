"""The tables of the schema `users`, for the stores; migrations/ makes them."""

from sqlalchemy import BigInteger, Column, DateTime, MetaData, SmallInteger, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from services.runtime.data.change_tables import change_counter_of, unordered_changes_of
from services.runtime.erasure.tables import DeletionTables

metadata = MetaData(schema="users")
_now = func.clock_timestamp()
_id = Text(collation="C")

users = Table(
    "users",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("id", _id, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("avatar_url", Text, nullable=False),
    Column("custom_data", JSONB(none_as_null=True)),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=_now),
)
changes = Table(
    "changes",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("user_uid", Uuid, nullable=False),
    Column("user_id", _id, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_now),
)
change_counter, unordered_changes = change_counter_of(changes), unordered_changes_of(changes)
deletion_tables = DeletionTables.of(metadata)
# Its one row is locked until the commit by whoever creates users.
creation_clock = Table("creation_clock", metadata, Column("last_time", DateTime(timezone=True)))
