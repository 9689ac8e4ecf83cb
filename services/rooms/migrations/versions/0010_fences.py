"""Keep the uids of users who were deleted, for a while what tokens called them, and find the direct rooms of a user.

The release before goes on beside it and does not look: no user is deleted before all replicas are of this one.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Expand: a new table, and an index."""
    op.execute("""
        CREATE TABLE rooms.fences (
            uid uuid PRIMARY KEY,
            user_hash bytea,
            fence_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("CREATE INDEX fences_hash ON rooms.fences (user_hash) WHERE user_hash IS NOT NULL")
    # Not concurrently, because that can't be part of a transaction: calls wait, about 0.1 s with 100,000 rooms.
    op.execute("""
        CREATE INDEX rooms_direct_users ON rooms.rooms USING gin (direct_user_uids) WHERE direct_user_uids IS NOT NULL
    """)
