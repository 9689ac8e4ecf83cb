"""Let a membership say that somebody else has given it, and index what is counted of a user: rooms that they have made.

The release before goes on beside it: it names the columns that it writes, and its memberships count as the user's own.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Expand: a new column with a default, and indexes."""
    op.execute("ALTER TABLE rooms.memberships ADD COLUMN is_given boolean NOT NULL DEFAULT false")
    # Not concurrently, because that can't be part of a transaction: calls wait, about 0.1 s with 100,000 rooms.
    op.execute("CREATE INDEX memberships_given ON rooms.memberships (user_id) WHERE is_given")
    op.execute("CREATE INDEX rooms_created ON rooms.rooms (creator_id, create_time)")
