"""Keep the deletions of users.

The release before goes on beside it. It creates a user whose id is being deleted, who then has nothing of the old one,
because everything is keyed by uids.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Expand: three new tables."""
    op.execute("""
        CREATE TABLE users.deletions (
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
    op.execute("CREATE UNIQUE INDEX deletions_subject ON users.deletions (subject_id) WHERE subject_id IS NOT NULL")
    op.execute("CREATE INDEX deletions_hash ON users.deletions (subject_hash) WHERE subject_hash IS NOT NULL")
    op.execute("CREATE INDEX deletions_waiting ON users.deletions (claim_time) WHERE state = 1")
    op.execute("CREATE INDEX deletions_newest ON users.deletions (create_time DESC, id DESC)")
    op.execute("""
        CREATE TABLE users.service_deletions (
            deletion_id uuid NOT NULL REFERENCES users.deletions (id),
            service text COLLATE "C" NOT NULL,
            state smallint NOT NULL,
            update_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (deletion_id, service)
        )
    """)
    op.execute("""
        CREATE TABLE users.deletion_salt (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            salt bytea NOT NULL
        )
    """)
    # Random bytes without an extension.
    op.execute(
        "INSERT INTO users.deletion_salt (salt) SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"
    )
