"""What a broken promise is called, and the little of a history that shows it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from services.stack.proof.history import (
    Arrival,
    Attachment,
    CursorMove,
    Entry,
    Erasure,
    MemberChange,
    Muting,
    Page,
    Presence,
    Removal,
    Standing,
    Stream,
    Write,
)

Record = (
    Arrival
    | Attachment
    | CursorMove
    | Entry
    | Erasure
    | MemberChange
    | Muting
    | Page
    | Presence
    | Removal
    | Standing
    | Stream
    | Write
)


class Rule(StrEnum):
    """What was promised."""

    LOST = "what was acknowledged is there"
    DOUBLED = "a write is there once"
    INVENTED = "what is there was written"
    DENSE = "places of a log follow one another"
    DIFFERENT = "all see the same at one place"
    REORDERED = "a stream brings what it brings in the order of the log"
    MISSED = "a stream leaves nothing out"
    OVERTAKEN = "a write that was acknowledged before another began comes before it"
    STALE = "what was acknowledged is read from then on"
    LEAKED = "who was removed hears nothing more"
    RESTORED = "what was deleted is not shown again"
    RESUMED = "a stream goes on where its client asked, or says that it does not"
    MUTED = "who may not write writes nothing"
    CURSORS = "read cursors stand where they were moved to"
    UNREAD = "what is unread is what the log has behind the cursor"
    NEWEST = "the last message is the newest that is not deleted"
    MEMBERS = "members are those who came and did not leave"
    PRESENCE = "online is who is there"
    ERASED = "what was erased is gone"
    ATTACHED = "files are there, byte for byte"


@dataclass(frozen=True, slots=True)
class Fault:
    """A promise that was not kept, where, and the records that show it: without any of them it would not be seen."""

    rule: Rule
    room_id: str
    what: str
    shown_by: Sequence[Record] = ()

    def __str__(self) -> str:
        return f"{self.room_id}: {self.what}"

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        records = [{"record": type(one).__name__, **asdict(one)} for one in self.shown_by]
        return {"rule": self.rule.name, "room_id": self.room_id, "what": self.what, "shown_by": records}
