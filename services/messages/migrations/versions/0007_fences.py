"""Keep the uids of users who were deleted, and how far what they wrote was erased.

The release before goes on beside it and does not look: no user is deleted before all replicas are of this one.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Expand: a new table."""
    op.execute("""
        CREATE TABLE messages.fences (
            uid uuid PRIMARY KEY,
            walked_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
        )
    """)
