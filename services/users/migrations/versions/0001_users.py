"""Create the table of users."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Expand: nothing was there before."""
    op.execute("""
        CREATE TABLE users.users (
            uid uuid PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            name text NOT NULL,
            avatar_url text NOT NULL,
            custom_data jsonb,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            update_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("CREATE INDEX users_by_create_time ON users.users (create_time, id)")
