"""Create the events that are not creations, and let messages be edited and deleted.

The release before goes on beside it: it names the columns that it writes, and those that are new may be empty. It shows
a deleted message without parts, and ends a room's streams with LOG_RESET where it comes upon an event of a new kind.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Expand: a new table, and new columns that may be empty."""
    # kind is 2 for an edit and 3 for a deletion; a message's row is its own creation. A request id is of one message,
    # and ordinal is the deleted message's own.
    op.execute("""
        CREATE TABLE messages.events (
            room_uid uuid NOT NULL,
            seq bigint NOT NULL,
            kind smallint NOT NULL,
            message_seq bigint NOT NULL,
            ordinal bigint,
            request_id text COLLATE "C",
            content_hash bytea,
            time timestamptz NOT NULL,
            PRIMARY KEY (room_uid, seq),
            UNIQUE (room_uid, message_seq, request_id)
        )
    """)
    # Unread counts leave out what was deleted. Here and not on messages, where making it would read the whole table
    # while sends wait.
    op.execute("CREATE INDEX events_deletions ON messages.events (room_uid, ordinal) WHERE kind = 3")
    # An empty revision is the message's own seq; edited_hash is content_hash of the parts as they are since an edit.
    op.execute("""
        ALTER TABLE messages.messages
            ADD COLUMN revision bigint,
            ADD COLUMN edited_hash bytea,
            ADD COLUMN delete_time timestamptz
    """)
