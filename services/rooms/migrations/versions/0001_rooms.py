"""Create rooms, memberships, the request ids of creations, and the changes that others follow."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Expand: nothing was there before."""
    op.execute("""
        CREATE TABLE rooms.rooms (
            uid uuid PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            name text NOT NULL,
            visibility smallint NOT NULL,
            custom_data jsonb,
            creator_id text COLLATE "C" NOT NULL,
            member_count integer NOT NULL,
            revision bigint NOT NULL DEFAULT 1,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            update_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    # room_id stands here too, though it is the room's, so that a page of a user's rooms is a walk along one index.
    op.execute("""
        CREATE TABLE rooms.memberships (
            room_uid uuid NOT NULL REFERENCES rooms.rooms (uid),
            user_uid uuid NOT NULL,
            room_id text COLLATE "C" NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (room_uid, user_id),
            UNIQUE (user_id, room_id)
        )
    """)
    op.execute("""
        CREATE TABLE rooms.creations (
            creator_uid uuid NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            content_hash bytea NOT NULL,
            room_uid uuid NOT NULL,
            PRIMARY KEY (creator_uid, request_id)
        )
    """)
    op.execute("""
        CREATE TABLE rooms.changes (
            version bigint PRIMARY KEY,
            kind smallint NOT NULL,
            room_uid uuid NOT NULL,
            user_uid uuid NOT NULL,
            create_time timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    # The one row under whose lock versions are given, so that their order is the order of commits.
    op.execute("""
        CREATE TABLE rooms.change_counter (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            version bigint NOT NULL DEFAULT 0
        )
    """)
    op.execute("INSERT INTO rooms.change_counter DEFAULT VALUES")
