"""Note which messages may refer to which files.

A row is written before its message is, and may outlive it: what counts is what the message itself says. The release
before goes on beside it, and knows no files.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Expand: a new table."""
    op.execute("""
        CREATE TABLE messages.attachments (
            file_id text COLLATE "C" NOT NULL,
            room_uid uuid NOT NULL,
            sender_uid uuid NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            note_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (file_id, room_uid, sender_uid, request_id)
        )
    """)
