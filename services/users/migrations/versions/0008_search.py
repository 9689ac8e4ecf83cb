"""Index users by the beginning of their names, whatever their case.

The release before goes on beside it: the index needs nothing but the name.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Expand: a function, and an index."""
    # What of a name is compared. It is cut, so that no name is too long for the index. The two sigmas are one, because
    # some locales choose between them by what follows, which in a prefix is missing.
    op.execute("""
        CREATE FUNCTION users.name_key(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT left(translate(lower(normalize(name, NFC)), chr(962), chr(963)), 100)
        $$
    """)
    # Not concurrently, because that can't be part of a transaction: calls that write users wait, about 1 s with 100,000
    # of them.
    op.execute('CREATE INDEX users_by_name ON users.users (users.name_key(name) COLLATE "C", id)')
