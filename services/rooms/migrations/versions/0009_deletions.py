"""Keep the deletions of rooms, and find the requests that made a room.

The release before goes on beside it. It creates a room whose id is being deleted, which then has nothing of the old
one, because everything is keyed by uids.
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Expand: three new tables, and an index."""
    op.execute("""
        CREATE TABLE rooms.deletions (
            id uuid PRIMARY KEY,
            subject_uid uuid NOT NULL,
            subject_id text COLLATE "C",
            subject_hash bytea,
            state smallint NOT NULL,
            claim_time timestamptz NOT NULL,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            update_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute("CREATE UNIQUE INDEX deletions_subject ON rooms.deletions (subject_id) WHERE subject_id IS NOT NULL")
    op.execute("CREATE INDEX deletions_hash ON rooms.deletions (subject_hash) WHERE subject_hash IS NOT NULL")
    op.execute("CREATE INDEX deletions_waiting ON rooms.deletions (claim_time) WHERE state = 1")
    op.execute("CREATE INDEX deletions_newest ON rooms.deletions (create_time DESC, id DESC)")
    op.execute("""
        CREATE TABLE rooms.service_deletions (
            deletion_id uuid NOT NULL REFERENCES rooms.deletions (id),
            service text COLLATE "C" NOT NULL,
            state smallint NOT NULL,
            update_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (deletion_id, service)
        )
    """)
    op.execute("""
        CREATE TABLE rooms.deletion_salt (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            salt bytea NOT NULL
        )
    """)
    # Random bytes without an extension.
    op.execute(
        "INSERT INTO rooms.deletion_salt (salt) SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"
    )
    # Not concurrently, because that can't be part of a transaction: creations of rooms wait meanwhile.
    op.execute("CREATE INDEX creations_of_room ON rooms.creations (room_uid)")
