"""Create the read cursors.

The release before goes on beside it and knows nothing of them.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand: a new table."""
    # user_id stands beside the uid that it never parts from, so that a cursor is told without asking anybody. moved_xid
    # is the transaction of the last move: whoever knows a snapshot finds by it what became visible since.
    op.execute("""
        CREATE TABLE messages.read_cursors (
            room_uid uuid NOT NULL,
            user_uid uuid NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            seq bigint NOT NULL,
            revision bigint NOT NULL,
            update_time timestamptz NOT NULL,
            moved_xid xid8 NOT NULL,
            PRIMARY KEY (room_uid, user_uid)
        ) WITH (fillfactor = 70)
    """)
    op.execute("CREATE INDEX read_cursors_moved ON messages.read_cursors (room_uid, moved_xid)")
