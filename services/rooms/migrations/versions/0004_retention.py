"""Let rooms have a retention of their own.

The release before goes on beside it: it names the columns that it writes, and this one may be empty.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Expand: a new column that may be empty."""
    op.execute("ALTER TABLE rooms.rooms ADD COLUMN retention_days integer")
