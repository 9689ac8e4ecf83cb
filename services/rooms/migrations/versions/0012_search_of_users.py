"""Let the role `admin` search users, where it still has every permission that it began with.

The release before goes on beside it: it compares permissions as texts, and none of its methods asks for this one.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

_ADMIN = """
    cursors:read:get cursors:read:set file:create file:get message:create message:delete message:edit
    message:moderate presence:subscribe room:create room:delete room:get room:join room:leave room:members:add
    room:members:remove room:messages:get room:typing_indicator:create room:update user:get user:rooms:get
    user:update
"""


def upgrade() -> None:
    """Expand: a permission more for one role."""
    # Nobody is told, because nobody keeps a refusal. A role that somebody has made smaller is theirs to widen.
    op.execute(f"""
        UPDATE rooms.roles SET permissions = ARRAY(
            SELECT DISTINCT name COLLATE "C" FROM unnest(permissions || '{{user:search}}') AS name ORDER BY 1
        )
        WHERE scope = 1 AND name = 'admin' AND permissions @> '{{{",".join(_ADMIN.split())}}}'
    """)  # noqa: S608 - literals above
