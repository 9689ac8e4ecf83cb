"""Let a change of a membership name its room as callers do, so that whoever hears of it need not ask for the id.

The release before goes on beside it: it names the columns that it writes, and this one may be empty.
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Expand: a new column that may be empty."""
    op.execute('ALTER TABLE rooms.changes ADD COLUMN room_id text COLLATE "C"')
