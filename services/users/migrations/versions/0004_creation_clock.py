"""Create the row under whose lock users get their times of creation.

The release before goes on beside it, and takes times without the lock: its users may still be listed out of turn.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Expand: a new table, which starts after everybody who is there."""
    op.execute("""
        CREATE TABLE users.creation_clock (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            last_time timestamptz NOT NULL
        )
    """)
    op.execute("""
        INSERT INTO users.creation_clock (last_time)
        SELECT coalesce(max(create_time), clock_timestamp()) FROM users.users
    """)
