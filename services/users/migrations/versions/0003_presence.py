"""Create who is there: the leases of replicas, the sessions that they hold for users, and what is told of each user.

The release before goes on beside it, and has no presence.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand: new tables."""
    op.execute("""
        CREATE TABLE users.presence_leases (
            replica_id uuid PRIMARY KEY,
            held_since timestamptz NOT NULL,
            expire_time timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE users.presences (
            user_uid uuid PRIMARY KEY REFERENCES users.users (uid) ON DELETE CASCADE,
            user_id text COLLATE "C" NOT NULL,
            state smallint NOT NULL,
            change_time timestamptz,
            leave_time timestamptz
        )
    """)
    op.execute("CREATE INDEX presences_by_leave_time ON users.presences (leave_time) WHERE leave_time IS NOT NULL")
    op.execute("""
        CREATE TABLE users.presence_sessions (
            user_uid uuid NOT NULL REFERENCES users.presences (user_uid) ON DELETE CASCADE,
            replica_id uuid NOT NULL REFERENCES users.presence_leases (replica_id),
            PRIMARY KEY (user_uid, replica_id)
        )
    """)
    op.execute("CREATE INDEX presence_sessions_by_replica ON users.presence_sessions (replica_id, user_uid)")
