"""Contents of files, up and down, checked by size and SHA-256.

Where an upload breaks off it is begun again; a download goes on where it was.
"""

import asyncio
import hashlib
import mimetypes
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import grpc

from chatkit_client.calling import as_value, new_id
from chatkit_client.calls import Calls
from chatkit_client.errors import ChatkitError
from chatkit_client.http import put
from chatkit_client.proto.files.v1 import file_pb2
from chatkit_client.proto.files.v1 import files_service_pb2 as pb2

# The path of a file, a file that is open for reading and can seek, or the bytes themselves.
Content = str | os.PathLike[str] | bytes | BinaryIO
# The path of a file that is to be, or one that is open for writing.
Target = str | os.PathLike[str] | BinaryIO
# Is told how many bytes have gone, and of how many.
Progress = Callable[[int, int], None]
# Content may be large, and the network slow.
DEADLINE_SECONDS = 600.0
_FRAME_BYTES = 250_000


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a transfer is made: until when, and who is told how far it is."""

    progress: Progress | None = None
    deadline: float = DEADLINE_SECONDS

    def tell(self, done: int, total: int) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(done, total)


class UploadOptions(TypedDict, total=False):
    """How a file is made of its content."""

    # That of the path, where the content is one.
    name: str
    # That of the name, or application/octet-stream.
    content_type: str
    # Whose file it is: oneself, unless it is said.
    user_id: str
    # Anything that JSON can say.
    custom_data: Any
    # The same for every attempt to create the file.
    request_id: str
    # Send the content to the file's signed URL.
    by_url: bool
    progress: Progress
    # How long it may take in all, in seconds.
    deadline: float


class Transfers:
    """Sends and fetches the contents of files."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def upload(
        self,
        room_id: str,
        content: Content,
        options: UploadOptions,
    ) -> file_pb2.File:
        """Create a file with this content, and return it when it is READY; raises ChatkitError and OSError."""
        name = options.get("name") or (Path(content).name if isinstance(content, (str, os.PathLike)) else "")
        content_type = options.get("content_type") or mimetypes.guess_type(name)[0] or "application/octet-stream"
        transfer = Transfer(options.get("progress"), options.get("deadline", DEADLINE_SECONDS))
        user_id = options.get("user_id")
        with _opened(content) as opened:
            size, sha256 = await asyncio.to_thread(_measure, opened)
            created = await self._calls.call(
                pb2.CreateFileRequest(
                    room_id=room_id,
                    user_id=user_id,
                    name=name,
                    content_type=content_type,
                    size_bytes=size,
                    sha256=sha256,
                    custom_data=as_value(options.get("custom_data")),
                    request_id=options.get("request_id") or new_id(),
                )
            )
            file: file_pb2.File = created.file
            if file.state == file_pb2.FILE_STATE_READY:
                transfer.tell(size, size)
                return file
            url = created.upload_url if options.get("by_url") else None
            return await self.send(file, opened, transfer, user_id=user_id, url=url)

    async def send(
        self, file: file_pb2.File, content: Content, transfer: Transfer, *, user_id: str | None, url: str | None
    ) -> file_pb2.File:
        """Send the content of a file that is there already, and return it when it is READY."""
        with _opened(content) as opened:

            async def attempt(token: str, seconds: float) -> file_pb2.File:
                await asyncio.to_thread(opened.seek, 0)
                if url is None:
                    first = pb2.UploadFileRequest(room_id=file.room_id, file_id=file.id, user_id=user_id)
                    return await self._send_frames(first, opened, file.size_bytes, transfer, token, seconds)
                headers = {"content-type": file.content_type, "content-length": str(file.size_bytes)}
                await put(url, headers, opened, file.size_bytes, transfer.tell, seconds)
                return await self._file(file)

            return await self._calls.repeat(attempt, deadline=transfer.deadline)

    async def download(self, room_id: str, file_id: str, target: Target, transfer: Transfer) -> file_pb2.File:
        """Write the content of a file into a file or to a path, and return what is known of it.

        At a path the content is there as a whole or not at all. Raises ChatkitError (DATA_LOSS when what came is not
        what was stored) and OSError.
        """
        if not isinstance(target, (str, os.PathLike)):
            return await self._fetch(room_id, file_id, target, transfer)
        path = Path(target)
        unfinished = path.with_name(f"{path.name}.unfinished")
        try:
            with unfinished.open("wb") as opened:
                file = await self._fetch(room_id, file_id, opened, transfer)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return file

    async def _file(self, file: file_pb2.File) -> file_pb2.File:
        answer = await self._calls.call(pb2.GetFileRequest(room_id=file.room_id, file_id=file.id))
        known: file_pb2.File = answer.file
        return known

    async def _send_frames(
        self,
        first: pb2.UploadFileRequest,
        content: BinaryIO,
        size: int,
        transfer: Transfer,
        token: str,
        seconds: float,
    ) -> file_pb2.File:
        call = self._calls.line.open(first, token, seconds)
        done = 0
        try:
            await call.write(first)
            transfer.tell(done, size)
            while piece := await asyncio.to_thread(content.read, _FRAME_BYTES):
                await call.write(pb2.UploadFileRequest(chunk=piece))
                done += len(piece)
                transfer.tell(done, size)
            await call.done_writing()
        except asyncio.InvalidStateError:
            # The answer is there before everything was written: below it says why.
            pass
        except BaseException:
            call.cancel()
            raise
        answer: pb2.UploadFileResponse = await call
        return answer.file

    async def _fetch(self, room_id: str, file_id: str, target: BinaryIO, transfer: Transfer) -> file_pb2.File:
        file = await self._file(file_pb2.File(room_id=room_id, id=file_id))
        digest = hashlib.sha256()
        done = 0
        transfer.tell(done, file.size_bytes)

        async def attempt(token: str, seconds: float) -> None:
            nonlocal done
            began = done
            try:
                async with aclosing(self._pieces(room_id, file_id, done, token, seconds)) as pieces:
                    async for piece in pieces:
                        await asyncio.to_thread(target.write, piece)
                        digest.update(piece)
                        done += len(piece)
                        transfer.tell(done, file.size_bytes)
            except ChatkitError as error:
                if error.wants_another_token and done > began:
                    raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "the token ended on the way") from error
                raise

        await self._calls.repeat(attempt, deadline=transfer.deadline)
        if done != file.size_bytes or (file.sha256 and digest.hexdigest() != file.sha256):
            raise ChatkitError(grpc.StatusCode.DATA_LOSS, "", "the content that came is not the one that was stored")
        return file

    async def _pieces(
        self, room_id: str, file_id: str, offset: int, token: str, seconds: float
    ) -> AsyncGenerator[bytes, None]:
        request = pb2.DownloadFileRequest(room_id=room_id, file_id=file_id, offset_bytes=offset)
        async with aclosing(self._calls.stream(request, token=token, seconds=seconds)) as answers:
            async for answer in answers:
                for chunk in answer.chunks:
                    yield chunk


@contextmanager
def _opened(content: Content) -> Iterator[BinaryIO]:
    """Lend content as a file; one that was open stays so."""
    if isinstance(content, (str, os.PathLike)):
        with Path(content).open("rb") as opened:
            yield opened
    else:
        yield BytesIO(content) if isinstance(content, bytes) else content


def _measure(content: BinaryIO) -> tuple[int, str]:
    """Return the size and the SHA-256 of content."""
    content.seek(0)
    digest = hashlib.sha256()
    while piece := content.read(_FRAME_BYTES):
        digest.update(piece)
    return content.tell(), digest.hexdigest()
