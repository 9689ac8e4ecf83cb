"""Let a head say that its log was erased, and find the references of a room.

The release before goes on beside it and does not look: no room is deleted before all replicas are of this one.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Expand: a new column with a default, and an index."""
    op.execute("ALTER TABLE messages.heads ADD COLUMN is_erased boolean NOT NULL DEFAULT false")
    # Not concurrently, because that can't be part of a transaction: messages with files wait meanwhile.
    op.execute("CREATE INDEX attachments_of_room ON messages.attachments (room_uid)")
