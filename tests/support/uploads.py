"""How tests send a file's content in frames."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub

from tests.support.tokens import Metadata

# Less than LIMIT_FILE_CHUNK_BYTES.
_FRAME_BYTES = 250_000


async def upload(
    stub: FilesServiceStub, file_id: str, chunks: Iterable[bytes], metadata: Metadata, room_id: str = "lobby"
) -> file_pb2.File:
    """Send the content of a file that was created, a frame for each chunk."""

    async def frames() -> AsyncIterator[pb2.UploadFileRequest]:
        yield pb2.UploadFileRequest(room_id=room_id, file_id=file_id)
        for chunk in chunks:
            yield pb2.UploadFileRequest(chunk=chunk)

    answer: pb2.UploadFileResponse = await stub.UploadFile(frames(), metadata=metadata)
    return answer.file


async def add(stub: FilesServiceStub, content: bytes, metadata: Metadata, **fields: Any) -> file_pb2.File:
    """Create a file in the room lobby, with its content."""
    told: dict[str, Any] = {"room_id": "lobby", "content_type": "video/mp4", "request_id": "request", **fields}
    created: pb2.CreateFileResponse = await stub.CreateFile(
        pb2.CreateFileRequest(size_bytes=len(content), **told), metadata=metadata
    )
    chunks = [content[start : start + _FRAME_BYTES] for start in range(0, len(content), _FRAME_BYTES)]
    return await upload(stub, created.file.id, chunks, metadata, told["room_id"])
