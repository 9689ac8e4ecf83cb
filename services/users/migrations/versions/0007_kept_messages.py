"""Say of deletions whether messages stay, for users whose do.

The release before goes on beside it: it begins deletions of which none stay.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Expand: a column with a default, and one that may be null."""
    op.execute("ALTER TABLE users.deletions ADD COLUMN keeps_messages boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE users.deletions ADD COLUMN pseudonym_key bytea")
