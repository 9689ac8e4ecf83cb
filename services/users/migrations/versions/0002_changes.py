"""Create the changes of users that others follow, and the row under whose lock their versions are given.

The release before goes on beside it, and records none: who follows hears of its changes when they are read.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Expand: new tables."""
    op.execute("""
        CREATE TABLE users.changes (
            version bigint PRIMARY KEY,
            kind smallint NOT NULL,
            user_uid uuid NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("""
        CREATE TABLE users.change_counter (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            version bigint NOT NULL DEFAULT 0
        )
    """)
    op.execute("INSERT INTO users.change_counter DEFAULT VALUES")
