"""The kinds of ids and uids, so that one can't be taken for another; what an id and a uid are is in docs/glossary.md.

They are made where a value comes in: of a request, a message between services, or a new creation. Rows have them as
they are. Where a signature has one kind of id and no other text, `str` says enough.
"""

from typing import NewType
from uuid import UUID

RoomUid = NewType("RoomUid", UUID)
UserUid = NewType("UserUid", UUID)

# What clients call them by, and may be given again after a deletion.
RoomId = NewType("RoomId", str)
UserId = NewType("UserId", str)
# Of what is in no room and of nobody, or of one whose id is not known.
NO_ROOM, NOBODY = RoomId(""), UserId("")
# Whose what was a deleted user's is: no user has it.
NO_USER = UserUid(UUID(int=0))
