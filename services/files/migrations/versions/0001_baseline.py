"""Start the schema: it has no tables yet, so that later revisions have one to come after."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Expand: nothing was there before, and nothing is needed yet."""
