"""Create files, the uploads that are under way, and what each user's files take up."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Expand: nothing used the schema before."""
    # sha256 is the content's once it is there, and before that the declared one, if one was declared.
    # custom_data is compact JSON as text: NULL is "none was given", and the JSON value null is 'null'.
    op.execute("""
        CREATE TABLE files.files (
            uid uuid PRIMARY KEY,
            room_uid uuid NOT NULL,
            room_id text COLLATE "C" NOT NULL,
            owner_uid uuid NOT NULL,
            owner_id text COLLATE "C" NOT NULL,
            name text NOT NULL,
            content_type text NOT NULL,
            size_bytes bigint NOT NULL,
            sha256 bytea,
            custom_data text,
            state smallint NOT NULL,
            blob_key text COLLATE "C",
            request_id text COLLATE "C" NOT NULL,
            content_hash bytea NOT NULL,
            create_time timestamptz NOT NULL,
            attach_time timestamptz,
            check_time timestamptz NOT NULL,
            UNIQUE (owner_uid, request_id)
        )
    """)
    op.execute("CREATE INDEX files_by_room ON files.files (room_uid, create_time DESC, uid DESC)")
    op.execute("CREATE INDEX files_by_check_time ON files.files (check_time)")
    # A row for every blob that no file has yet, so that no blob is ever without a row.
    op.execute("""
        CREATE TABLE files.uploads (
            blob_key text COLLATE "C" PRIMARY KEY,
            file_uid uuid NOT NULL,
            start_time timestamptz NOT NULL,
            is_revoked boolean NOT NULL DEFAULT false
        )
    """)
    op.execute("CREATE INDEX uploads_by_start_time ON files.uploads (start_time)")
    op.execute("""
        CREATE TABLE files.usage (
            owner_uid uuid PRIMARY KEY,
            bytes bigint NOT NULL
        )
    """)
