"""The tables of the log; `migrations/` makes them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid

from services.runtime.ids import NO_USER

metadata = MetaData(schema="messages")
heads = Table(
    "heads",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("oldest_seq", BigInteger, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("last_time", DateTime(timezone=True)),
    # The room was deleted: nothing is appended any more, and the row is all that there is of the log.
    Column("is_erased", Boolean, nullable=False),
)
messages = Table(
    "messages",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("sender_uid", Uuid, nullable=False),
    Column("request_id", Text(collation="C"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("revision", BigInteger),
    Column("edited_hash", LargeBinary),
    Column("delete_time", DateTime(timezone=True)),
)
# Users who were deleted: nothing of theirs comes into being any more. And how far all rooms were looked through.
fences = Table(
    "fences",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("walked_to", Uuid, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("room_uid", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("message_seq", BigInteger, nullable=False),
    Column("ordinal", BigInteger),
    Column("request_id", Text(collation="C")),
    Column("content_hash", LargeBinary),
    Column("time", DateTime(timezone=True), nullable=False),
)


def shown_request_id(messages: str) -> str:
    """Return the SQL of the request id with which a row of `messages`, by its name in the statement, is shown.

    It is null for a deleted message, and for one that is nobody's. A message's bytes do not have it: so it is gone with
    the row's own, whatever release has made the message nobody's.
    """
    is_shown = f"{messages}.delete_time IS NULL AND {messages}.sender_uid <> '{NO_USER}'"
    return f"CASE WHEN {is_shown} THEN {messages}.request_id END"
