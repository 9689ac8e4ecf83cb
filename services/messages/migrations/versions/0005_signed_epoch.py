"""Let the epoch's row name the transaction that wrote it, so that one that comes out of a backup is noticed.

The release before goes on beside it and does not name any: where it rotates the epoch, the next one rotates it again.
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Expand: a new column, which the next look fills."""
    op.execute("ALTER TABLE messages.deployment ADD COLUMN written_by xid8")
