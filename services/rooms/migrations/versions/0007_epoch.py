"""Keep the epoch of the changes: which life of the schema their versions belong to.

The release before goes on beside it, and tells nobody when the schema was put back.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Expand: a new table, which the first look fills."""
    op.execute("""
        CREATE TABLE rooms.deployment (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            epoch uuid NOT NULL,
            system_identifier bigint NOT NULL,
            timeline_id integer NOT NULL,
            written_by xid8
        )
    """)
