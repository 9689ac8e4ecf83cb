"""Let rooms have a title for push notifications and be the one direct room of two users; index what listings walk.

The release before goes on beside it: it names the columns that it writes, and those that are new may be empty.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand: new columns that may be empty, and indexes."""
    # Ids and uids are each in an order of their own, so two users are the same pair whoever asks. The constraint is for
    # the release that does not know direct rooms: it can't add a third to the two.
    op.execute("""
        ALTER TABLE rooms.rooms
            ADD COLUMN push_notification_title_override text,
            ADD COLUMN direct_user_ids text[] COLLATE "C",
            ADD COLUMN direct_user_uids uuid[],
            ADD CONSTRAINT rooms_direct_has_two
                CHECK (direct_user_uids IS NULL OR (cardinality(direct_user_uids) = 2 AND member_count <= 2)) NOT VALID
    """)
    op.execute("""
        CREATE UNIQUE INDEX rooms_direct ON rooms.rooms (direct_user_uids) WHERE direct_user_uids IS NOT NULL
    """)
    # Not concurrently, because that can't be part of a transaction: calls wait, about 0.1 s with 100,000 rooms.
    op.execute("CREATE INDEX rooms_public ON rooms.rooms (id) WHERE visibility = 1")
