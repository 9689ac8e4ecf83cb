"""The use cases of files: no gRPC, no HTTP, no SQL. Whose a file is, is looked at here."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import assert_never

from services.files.content import serving
from services.files.content.blobs import BlobMissingError, Blobs
from services.files.content.incoming import Incoming
from services.files.content.urls import FileUrls, Purpose, SignedUrl
from services.files.model import Draft, File, FileId, FileState, PageStart, file_uid, incoming_key
from services.files.peers import MessagesClient
from services.files.refusals import in_use, not_found, not_owner, not_ready
from services.files.store import FileStore
from services.runtime.access.port import AccessGrant, AccessQuery, RoomsChecker
from services.runtime.contract.errors import (
    Aborted,
    ChatkitError,
    FailedPrecondition,
    PermissionDenied,
    Unauthenticated,
)
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid

# A message may be under way for as long as its send may take, and then some.
ATTACHING = timedelta(minutes=1)
# How long others leave a file alone that somebody is removing.
LEASE = timedelta(minutes=5)
_AFTER_CONTENTION = timedelta(seconds=1)
# For one page; the collector soon removes what others are not shown.
_MOST_LOOKS = 3


class Files:
    """What can be done with files."""

    def __init__(
        self,
        store: FileStore,
        blobs: Blobs,
        incoming: Incoming,
        urls: FileUrls,
        messages: MessagesClient,
        access: RoomsChecker,
        *,
        unattached_for: timedelta,
        most_bytes: int,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._incoming = incoming
        self._urls = urls
        self._messages = messages
        self._access = access
        # Of one user's, as long as they are stored.
        self._most_bytes = most_bytes
        self._unattached_for = unattached_for

    async def create(self, draft: Draft) -> File:
        """Create a file without its content; repeated with the same request id it answers the file as it is."""
        return await self._store.create(draft, self._unattached_for, self._most_bytes)

    async def find(self, file_id: str) -> File:
        """Return a file, in whatever room it is; for those who show a signature. Raises FILE_NOT_FOUND."""
        uid = file_uid(file_id)
        file = await self._store.find(uid) if uid is not None else None
        if file is None:
            raise not_found(file_id)
        return file

    async def get(
        self, room_uid: RoomUid, file_id: FileId, user_id: UserId | None, deadline: Deadline, *, superuser: bool
    ) -> File:
        """Return a file of a room; to others than its owner and superusers only one that a message refers to.

        Raises FILE_CONTENT_MISMATCH when what has come to the bucket is not what was declared.
        """
        file = await self.find_in(room_uid, file_id)
        if superuser or file.owner_id == user_id:
            return await self._incoming.take(file)
        if not await self._sent([file], deadline):
            raise not_found(file_id)
        return file

    async def get_all(self, file_ids: Iterable[str], query: AccessQuery, deadline: Deadline) -> list[File]:
        """Return those of these files that `get` would return, once each and in the order given.

        The query is put for the rooms of all of them at once. What has come to the bucket is not looked at.
        """
        uids = dict.fromkeys(uid for file_id in file_ids if (uid := file_uid(file_id)) is not None)
        found = {file.uid: file for file in await self._store.find_these(list(uids))}
        rooms = await self._open_rooms({file.room_id for file in found.values()}, query)
        files = [found[uid] for uid in uids if uid in found and found[uid].room_uid in rooms]
        of_others = [] if query.superuser else [file for file in files if file.owner_id != query.user_id]
        sent = await self._sent(of_others, deadline)
        hidden = {file.id for file in of_others} - sent
        return [file for file in files if file.id not in hidden]

    async def _open_rooms(self, room_ids: Collection[RoomId], query: AccessQuery) -> set[RoomUid | None]:
        """Return the uids of those rooms where the query is granted."""
        answers = await self._access.check_rooms(query, sorted(room_ids)) if room_ids else []
        for answer in answers:
            # Of the caller, and of no room.
            if isinstance(answer, Unauthenticated):
                raise answer
        return {answer.room_uid for answer in answers if isinstance(answer, AccessGrant)}

    async def find_in(self, room_uid: RoomUid, file_id: str) -> File:
        """Return a file of a room. Raises FILE_NOT_FOUND."""
        file = await self.find(file_id)
        if file.room_uid != room_uid:
            raise not_found(file_id)
        return file

    async def own(
        self, room_uid: RoomUid, file_id: FileId, user_id: UserId, deadline: Deadline, *, superuser: bool
    ) -> File:
        """Return a file of a room that the user may change. Raises FILE_NOT_FOUND and FILE_OWNER_REQUIRED."""
        file = await self.find_in(room_uid, file_id)
        if file.owner_id != user_id and not superuser:
            raise await self._not_own(file, deadline)
        return file

    async def _not_own(self, file: File, deadline: Deadline) -> ChatkitError:
        """Return the error for who wants to do with a file what only its owner may, which tells no more than `get`."""
        return not_owner(file.id) if await self._sent([file], deadline) else not_found(file.id)

    async def page(
        self, room_uid: RoomUid, own: UserUid | None, start: PageStart | None, size: int, deadline: Deadline
    ) -> tuple[list[File], PageStart | None]:
        """Return a room's files, the newest first, and where the next page starts, unless nothing comes after it.

        With `own` those that a message refers to, and that user's. Of many that none refers to any more the page may
        be short.
        """
        shown: list[File] = []
        for _ in range(_MOST_LOOKS):
            found = await self._store.page(room_uid, own, start, size + 1)
            looked_at = found[:size]
            shown += looked_at if own is None else await self._shown_to(own, looked_at, deadline)
            if len(shown) > size:
                return shown[:size], PageStart.after(shown[size - 1])
            if len(found) <= size:
                return shown, None
            start = PageStart.after(looked_at[-1])
            if len(shown) == size:
                break
        return shown, start

    async def _shown_to(self, own: UserUid, files: Sequence[File], deadline: Deadline) -> list[File]:
        sent = await self._sent([file for file in files if file.owner_uid != own], deadline)
        return [file for file in files if file.owner_uid == own or file.id in sent]

    async def _sent(self, files: Sequence[File], deadline: Deadline) -> set[str]:
        """Return the ids of those that a message refers to."""
        attached = [file.id for file in files if file.has_content and file.attach_time is not None]
        return await self._messages.referenced(attached, deadline)

    async def content(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield a part of a file's content. Raises FILE_NOT_READY and FILE_NOT_FOUND."""
        if not file.has_content:
            raise not_ready(file.id)
        try:
            async for piece in self._blobs.read(file.blob_key, start, end):
                yield piece
        except BlobMissingError:
            # It was removed a moment ago.
            raise not_found(file.id) from None

    async def download_url(self, file: File, *, attachment: bool = False) -> SignedUrl | None:
        """Return a fresh URL of a file's content: the store's own, or ours; None while there is no content.

        With `attachment` browsers are to save the content and not to show it.
        """
        if not file.has_content:
            return None
        window = self._urls.window()
        saved_as = serving.disposition(file, attachment=True) if attachment else ""
        stores = await self._blobs.download_url(file.blob_key, window, saved_as)
        if stores is not None:
            return SignedUrl(stores, window.expire_time)
        return self._urls.make(Purpose.DOWNLOAD, file.uid, window, attachment=attachment)

    async def upload_url(self, file: File) -> SignedUrl:
        """Return a fresh URL that takes a file's content: the store's own, or ours."""
        window = self._urls.window()
        ours = self._urls.make(Purpose.UPLOAD, file.uid, window)
        if file.has_content:
            # Only we can say whether what is sent again is the same.
            return ours
        stores = await self._blobs.upload_url(incoming_key(file.uid), file.size_bytes, window.left)
        return SignedUrl(stores, window.expire_time) if stores is not None else ours

    async def delete(self, file: File, deadline: Deadline) -> None:
        """Delete a file that no message refers to, and that none can come to refer to.

        Of several at once one deletes it, and the others raise FILE_NOT_FOUND.
        """
        condemned = await self._store.condemn(file, LEASE, ATTACHING)
        if condemned is None:
            raise await self._gone_or_in_use(file)
        try:
            is_in_use = bool(await self._messages.referenced([file.id], deadline)) if file.has_content else False
        except BaseException:
            # Where this fails too, the collector asks again when the lease is over; the caller hears of the first.
            with suppress(ChatkitError):
                await self._store.keep([file.uid], self._unattached_for)
            raise
        if is_in_use:
            await self._store.keep([file.uid], self._unattached_for)
            raise in_use(file.id, ATTACHING)
        if not await self.remove(condemned):
            raise await self._gone_or_in_use(file)

    async def remove(self, condemned: File) -> bool:
        """Remove a file of which messages has said, since it was condemned, that no message refers to it.

        Return whether it was this that removed it: somebody else may have, or somebody has attached it since, after
        another one that had condemned it let it be.
        """
        if not await self._store.remove(condemned):
            return False
        # What the store of content does not remove now, the collector does.
        with suppress(ChatkitError):
            if condemned.has_content:
                await self._blobs.remove(condemned.blob_key)
                await self._store.end_upload(condemned.blob_key)
            await self._incoming.discard(condemned)
        return True

    async def _gone_or_in_use(self, file: File) -> ChatkitError:
        return not_found(file.id) if await self._store.find(file.uid) is None else in_use(file.id, ATTACHING)

    async def ready(self, file_ids: Iterable[str]) -> list[str]:
        """Return those of these files that have content."""
        uids = [uid for file_id in file_ids if (uid := file_uid(file_id)) is not None]
        return sorted(str(uid) for uid in await self._store.with_content_among(uids))

    async def attach(
        self, room_uid: RoomUid, owner_uid: UserUid, file_ids: Sequence[str], deadline: Deadline
    ) -> list[File]:
        """Let a message refer to files from now on, all or none of them; return them in the order of the ids.

        Raises FILE_NOT_FOUND, FILE_OWNER_REQUIRED, FILE_NOT_READY and CONTENTION.
        """
        try:
            return await self._attach_what_came(room_uid, owner_uid, file_ids)
        except PermissionDenied as refusal:
            file = await self.find_in(room_uid, refusal.metadata["file_id"])
            raise await self._not_own(file, deadline) from None

    async def _attach_what_came(self, room_uid: RoomUid, owner_uid: UserUid, file_ids: Sequence[str]) -> list[File]:
        try:
            return await self._attach(room_uid, owner_uid, file_ids)
        except FailedPrecondition:
            if not self._blobs.takes_uploads:
                raise
            # The content of those that are not ready may lie in the bucket.
            for file_id in file_ids:
                file = await self.find_in(room_uid, file_id)
                if file.owner_uid == owner_uid:
                    await self._incoming.take(file)
            return await self._attach(room_uid, owner_uid, file_ids)

    async def _attach(self, room_uid: RoomUid, owner_uid: UserUid, file_ids: Sequence[str]) -> list[File]:
        uids = {file_id: file_uid(file_id) for file_id in file_ids}

        def judge(found: Sequence[File]) -> None:
            by_uid = {file.uid: file for file in found}
            for file_id, uid in uids.items():
                refusal = _refusal(file_id, by_uid.get(uid) if uid is not None else None, room_uid, owner_uid)
                if refusal is not None:
                    raise refusal

        wanted = [uid for uid in uids.values() if uid is not None]
        attached = {file.id: file for file in await self._store.attach(wanted, judge, self._unattached_for)}
        return [attached[file_id] for file_id in file_ids]


def _refusal(file_id: str, file: File | None, room_uid: RoomUid, owner_uid: UserUid) -> ChatkitError | None:
    if file is None or file.room_uid != room_uid:
        return not_found(file_id)
    if file.owner_uid != owner_uid:
        return not_owner(file_id)
    match file.state:
        case FileState.PENDING | FileState.UNKNOWN:
            return not_ready(file_id)
        case FileState.DELETING:
            return Aborted("CONTENTION", "the file is about to be removed: try again", retry_after=_AFTER_CONTENTION)
        case FileState.READY:
            return None
        case _:
            assert_never(file.state)
