"""Tells everything that files has of a user; the content of each file follows what is known of it."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from services.files.export.store import OwnFile, UserExportStore
from services.files.model import File
from services.files.protos import file_message
from services.files.service import Files
from services.runtime.contract.errors import NotFound
from services.runtime.erasure.exporting import PIECE_BYTES, Records, fields_of_message, paged, record
from services.runtime.erasure.model import ErasedUser

_record = partial(record, "files")
# Of no use to anybody later.
_URL = ("download_url", "download_expire_time")


class UserExporter:
    """What ErasureService.Export sends of files."""

    def __init__(self, store: UserExportStore, files: Files) -> None:
        self._store = store
        self._files = files

    async def export_user(self, user: ErasedUser) -> Records:
        """Yield all records of a user.

        Raises FILE_STORE_UNAVAILABLE, and FILE_NOT_FOUND where the content of a file that is there is not.
        """
        store = self._store
        used_bytes = await store.used_bytes(user.uid)
        if used_bytes is not None:
            yield _record("storage", {"bytes": str(used_bytes)})
        async for own in paged(partial(store.files, user.uid), "", lambda one: one.request_id):
            yield _record("file", _file_fields(own))
            try:
                async for offset, piece in self._pieces(own.file):
                    yield _record("file_content", {"file_id": own.file.id, "offset": str(offset)}, piece)
            except NotFound:
                if await self._is_there(own.file):
                    raise
                yield _record("file_gone", {"file_id": own.file.id})
        async for upload in paged(partial(store.uploads, user.uid), "", lambda one: one.blob_key):
            yield _record("upload", {"file_id": str(upload.file_uid), "start_time": upload.start_time})

    async def _pieces(self, file: File) -> AsyncIterator[tuple[int, bytes]]:
        if not file.has_content:
            return
        offset = 0
        async for content in self._files.content(file, 0, file.size_bytes):
            for start in range(0, len(content), PIECE_BYTES):
                yield offset + start, content[start : start + PIECE_BYTES]
            offset += len(content)

    async def _is_there(self, file: File) -> bool:
        try:
            return (await self._files.find(file.id)).has_content
        except NotFound:
            return False


def _file_fields(own: OwnFile) -> dict[str, Any]:
    shown = fields_of_message(file_message(own.file, None))
    kept = {name: value for name, value in shown.items() if name not in _URL}
    return {**kept, "request_id": own.request_id, "attach_time": own.file.attach_time}
