"""Note which members are no users any more, and the epoch of users in which that was found out.

The release before goes on beside it, and lets them in.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Expand: two new tables."""
    op.execute("""
        CREATE TABLE rooms.absent_users (
            user_uid uuid PRIMARY KEY,
            notice_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("""
        CREATE TABLE rooms.roll_call (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            users_epoch text NOT NULL
        )
    """)
