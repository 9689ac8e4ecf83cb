"""The kinds of uids, so that one can't be taken for another; what an id and a uid are is in docs/glossary.md.

They are made where a value comes in: of a message between services, or of a new creation. Rows have them as they are.
"""

from typing import NewType
from uuid import UUID

RoomUid = NewType("RoomUid", UUID)
UserUid = NewType("UserUid", UUID)
