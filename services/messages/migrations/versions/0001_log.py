"""Create the log: heads, messages, and the identity of the database that the log was written to."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Expand: nothing was there before."""
    op.execute("""
        CREATE TABLE messages.heads (
            room_uid uuid PRIMARY KEY,
            seq bigint NOT NULL DEFAULT 0,
            oldest_seq bigint NOT NULL DEFAULT 1,
            ordinal bigint NOT NULL DEFAULT 0,
            last_time timestamptz
        ) WITH (fillfactor = 50)
    """)
    # message is the serialized chatkit.messages.v1.Message, so that a page of history is a join of bytes.
    op.execute("""
        CREATE TABLE messages.messages (
            room_uid uuid NOT NULL,
            seq bigint NOT NULL,
            ordinal bigint NOT NULL,
            sender_uid uuid NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            content_hash bytea NOT NULL,
            create_time timestamptz NOT NULL,
            message bytea NOT NULL,
            PRIMARY KEY (room_uid, seq),
            UNIQUE (room_uid, sender_uid, request_id)
        )
    """)
    op.execute("""
        CREATE TABLE messages.deployment (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            epoch uuid NOT NULL,
            system_identifier bigint NOT NULL,
            timeline_id integer NOT NULL
        )
    """)
