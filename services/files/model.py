"""Files as the domain sees them: their states, and the rules of names, keys and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.kinds import Kind

# What callers know a file by, which is its uid as text, or else names no file.
FileId = NewType("FileId", str)
FileUid = NewType("FileUid", UUID)


class FileState(Kind):
    """Where a file is in its life; PENDING and READY are the contract's numbers."""

    # A later release wrote it: it is read as far as it has content, and neither filled nor attached.
    UNKNOWN = 0
    PENDING = 1
    READY = 2
    # It can't be attached any more, and goes unless a message refers to it after all.
    DELETING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file to create."""

    uid: FileUid
    room_uid: RoomUid
    room_id: RoomId
    owner_uid: UserUid
    owner_id: UserId
    name: str
    content_type: str
    size_bytes: int
    sha256: bytes | None
    # Compact JSON; None if nothing was given.
    custom_data: str | None
    request_id: str
    # What is kept of the content, and what may have been kept of the same.
    content_hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file; `sha256` is its content's, or while that has not arrived the declared one, if one was declared."""

    uid: FileUid
    room_uid: RoomUid
    room_id: RoomId
    owner_uid: UserUid
    owner_id: UserId
    name: str
    content_type: str
    size_bytes: int
    sha256: bytes | None
    custom_data: str | None
    state: FileState
    # Where the content is; empty while it has not arrived.
    blob_key: str
    create_time: datetime
    # When it was last attached to a message, or may have been.
    attach_time: datetime | None

    @property
    def id(self) -> str:
        """What callers know the file by."""
        return str(self.uid)

    @property
    def has_content(self) -> bool:
        """Whether the content is there; also of a file that is about to go."""
        return bool(self.blob_key)


@dataclass(frozen=True, slots=True)
class PageStart:
    """The last file of the page before."""

    create_time: datetime
    uid: FileUid

    @classmethod
    def after(cls, file: File) -> "PageStart":
        """Return where the page after a file starts."""
        return cls(file.create_time, file.uid)


def file_uid(file_id: str) -> FileUid | None:
    """Return the uid of an id that callers name; None for what no file is called."""
    try:
        uid = FileUid(UUID(file_id))
    except ValueError:
        return None
    # Only one spelling names the file.
    return uid if str(uid) == file_id else None


def blob_key(file: FileUid, attempt: UUID) -> str:
    """Return where the content goes that one attempt to upload it brings: no two attempts write to one place."""
    return f"{file.hex[:2]}/{file.hex}-{attempt.hex[:16]}"


def file_of_key(key: str) -> FileUid | None:
    """Return the file whose content lies, or lay, under a key; None for a key that is nobody's."""
    folder, _, name = key.partition("/")
    hexed, dash, _ = name.partition("-")
    if not dash or folder != hexed[:2]:
        return None
    try:
        uid = FileUid(UUID(hex=hexed))
    except ValueError:
        return None
    return uid if uid.hex == hexed else None


# Where clients put content straight into a bucket.
INCOMING = "incoming"


def incoming_key(file: FileUid) -> str:
    """Return where a client puts a file's content, until it has been looked at."""
    return f"{INCOMING}/{file.hex}"


_EXTENSIONS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "text/plain": ".txt",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/zip": ".zip",
}
_KINDS = {"image", "audio", "video", "text"}


def essence(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def invented_name(content_type: str) -> str:
    """Return the name of a file that came without one."""
    kind = essence(content_type)
    major = kind.partition("/")[0]
    return (major if major in _KINDS else "file") + _EXTENSIONS.get(kind, "")
