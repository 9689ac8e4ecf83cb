"""File parts: before a message is stored its files are attached, and what they are then stands in it for good."""

from collections.abc import Iterable, Sequence

from chatkit.internal.attachments.v1 import references_service_pb2 as references_pb2
from chatkit.messages.v1 import part_pb2

from services.messages.attachments.store import ReferenceStore
from services.messages.peers import FilesClient
from services.runtime.calls.call import Call
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomUid, UserUid

# What files leaves of the deadline for storing the message, and those beside it that have no files.
_STORING_SECONDS = 1.0


class Attachments:
    """Lets messages refer to files."""

    def __init__(self, files: FilesClient, store: ReferenceStore) -> None:
        self._files = files
        self._store = store

    async def attach(
        self,
        parts: Sequence[part_pb2.Part],
        room_uid: RoomUid,
        sender_uid: UserUid,
        request_id: str,
        deadline: Deadline,
    ) -> Sequence[part_pb2.Part]:
        """Return the parts with what their files are now, or raise what files raises about one.

        The message will be known by its room, its sender and its request id; an edit names those of the message. What
        holds no files is returned itself.
        """
        wanted = list(dict.fromkeys(file_ids(parts)))
        if not wanted:
            return parts
        attached = await self._files.attach(wanted, room_uid, sender_uid, deadline.less(_STORING_SECONDS))
        # In order, so that repetitions at once wait for one another instead of deadlocking.
        await self._store.note(sorted(wanted), room_uid, sender_uid, request_id)
        filled = []
        for part in parts:
            whole = part_pb2.Part()
            whole.CopyFrom(part)
            if part.WhichOneof("value") == "file_id":
                whole.file.CopyFrom(attached[part.file_id])
            filled.append(whole)
        return filled


def clear_output(parts: Iterable[part_pb2.Part]) -> None:
    """Take away what a sender can't say of files."""
    for part in parts:
        part.ClearField("file")


def file_ids(parts: Iterable[part_pb2.Part]) -> list[str]:
    """Return the ids of the files that parts hold, in their order."""
    return [part.file_id for part in parts if part.WhichOneof("value") == "file_id"]


class ReferencesServicer:
    """chatkit.internal.attachments.v1.ReferencesService."""

    SERVICE = references_pb2.DESCRIPTOR.services_by_name["ReferencesService"]

    def __init__(self, store: ReferenceStore) -> None:
        self._store = store

    async def ReferencedFiles(
        self, request: references_pb2.ReferencedFilesRequest, _call: Call
    ) -> references_pb2.ReferencedFilesResponse:
        """Tell which files are in use."""
        return references_pb2.ReferencedFilesResponse(file_ids=sorted(await self._store.referenced(request.file_ids)))
