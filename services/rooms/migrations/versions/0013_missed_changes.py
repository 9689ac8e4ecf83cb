"""Index what a subscription of a user goes on with, changes about them and in a room; note who was in deleted rooms.

The release before goes on beside it: it notes nobody, and its changes say so, because they have no room's id.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Expand: indexes, and a new table."""
    # Not concurrently, because that can't be part of a transaction: changes wait, about 0.1 s with 100,000 of them.
    op.execute("CREATE INDEX changes_of_user ON rooms.changes (user_id, version) WHERE user_id IS NOT NULL")
    op.execute("CREATE INDEX changes_in_room ON rooms.changes (room_uid, version) WHERE room_uid IS NOT NULL")
    # What can't be found by a user and a room: almost always there is none.
    op.execute("""
        CREATE INDEX changes_of_anybody ON rooms.changes (version)
            WHERE kind > 7 AND room_uid IS NULL OR kind = 6 AND room_id IS NULL
    """)
    op.execute("""
        CREATE TABLE rooms.deleted_memberships (
            user_id text COLLATE "C" NOT NULL,
            version bigint NOT NULL REFERENCES rooms.changes (version) ON DELETE CASCADE,
            user_uid uuid NOT NULL,
            PRIMARY KEY (user_id, version)
        )
    """)
    op.execute("CREATE INDEX deleted_memberships_of_change ON rooms.deleted_memberships (version)")
    op.execute("CREATE INDEX deleted_memberships_of_uid ON rooms.deleted_memberships (user_uid)")
