"""Keep the uids of what was deleted, in which no file may come into being any more.

The release before goes on beside it and does not look: no room is deleted before all replicas are of this one.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand: a new table, and an index."""
    op.execute("CREATE TABLE files.fences (uid uuid PRIMARY KEY)")
    # Not concurrently, because that can't be part of a transaction: there are as many rows as uploads under way.
    op.execute("CREATE INDEX uploads_of_file ON files.uploads (file_uid)")
