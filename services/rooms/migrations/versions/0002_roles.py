"""Create roles, the predefined ones among them, their assignments, and what the changes say of both.

The release before goes on beside it: it names the columns that it writes, and those that are new may be empty.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

# Written out, because a migration stays what it was whatever the contract becomes. It runs once: what superusers change
# or delete later stays changed or deleted.
_DEFAULT = """
    cursors:read:get cursors:read:set file:create file:get message:create message:delete message:edit
    presence:subscribe room:create room:get room:join room:leave room:members:add room:members:remove
    room:messages:get room:typing_indicator:create user:get user:rooms:get
"""
_ADMIN = """
    cursors:read:get cursors:read:set file:create file:get message:create message:delete message:edit
    message:moderate presence:subscribe room:create room:delete room:get room:join room:leave room:members:add
    room:members:remove room:messages:get room:typing_indicator:create room:update user:get user:rooms:get
    user:update
"""


def upgrade() -> None:
    """Expand: new tables, and new columns that may be empty."""
    op.execute("""
        CREATE TABLE rooms.roles (
            scope smallint NOT NULL,
            name text COLLATE "C" NOT NULL,
            permissions text[] NOT NULL,
            PRIMARY KEY (scope, name)
        )
    """)
    for name, permissions in (("default", _DEFAULT), ("admin", _ADMIN)):
        op.execute(f"INSERT INTO rooms.roles VALUES (1, '{name}', '{{{','.join(permissions.split())}}}')")  # noqa: S608 - literals above
    op.execute("""
        CREATE TABLE rooms.global_assignments (
            user_uid uuid PRIMARY KEY,
            user_id text COLLATE "C" NOT NULL UNIQUE,
            role_name text COLLATE "C" NOT NULL
        )
    """)
    # room_id stands here too, though it is the room's, so that a page of a user's roles is a walk along one index.
    op.execute("""
        CREATE TABLE rooms.room_assignments (
            room_uid uuid NOT NULL REFERENCES rooms.rooms (uid),
            user_uid uuid NOT NULL,
            room_id text COLLATE "C" NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            role_name text COLLATE "C" NOT NULL,
            PRIMARY KEY (room_uid, user_uid)
        )
    """)
    op.execute("CREATE INDEX room_assignments_of_user ON rooms.room_assignments (user_id, room_id)")
    op.execute("""
        ALTER TABLE rooms.changes
            ADD COLUMN user_id text COLLATE "C",
            ADD COLUMN role_scope smallint,
            ADD COLUMN role_name text COLLATE "C",
            ALTER COLUMN room_uid DROP NOT NULL,
            ALTER COLUMN user_uid DROP NOT NULL
    """)
