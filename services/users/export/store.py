"""Whether a user who is exported is there, as it stands in PostgreSQL."""

from sqlalchemy import text

from services.runtime.data.database import Database
from services.runtime.ids import UserUid
from services.users.model import Presence, PresenceState

_PRESENCE = text("SELECT state, change_time FROM users.presences WHERE user_uid = :user_uid")


class UserExportStore:
    """What there is of users, beside themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def presence(self, user_uid: UserUid) -> Presence | None:
        """Return whether a user is there; None for one who never was."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_PRESENCE, {"user_uid": user_uid})).one_or_none()
        return Presence(PresenceState(row.state), row.change_time) if row is not None else None
