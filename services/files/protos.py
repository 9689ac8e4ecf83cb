"""Files as protos, for the servicers and for the HTTP listener."""

import json

from chatkit.files.v1 import file_pb2
from chatkit.messages.v1 import attached_file_pb2
from google.protobuf import struct_pb2

from services.files.content.urls import SignedUrl
from services.files.model import File, FileState
from services.runtime.contract import json_values
from services.runtime.contract.timestamps import timestamp


def file_message(file: File, download: SignedUrl | None) -> file_pb2.File:
    """Return the contract's File."""
    return file_pb2.File(
        id=file.id,
        room_id=file.room_id,
        owner_id=file.owner_id,
        name=file.name,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=_hex(file),
        custom_data=_custom_data(file),
        # What is about to be removed may come back, and is readable until then.
        state=file_pb2.FileState.Name(FileState.READY if file.has_content else FileState.PENDING),
        download_url=download.url if download is not None else "",
        download_expire_time=timestamp(download.expire_time) if download is not None else None,
        create_time=timestamp(file.create_time),
    )


def attached_file(file: File) -> attached_file_pb2.AttachedFile:
    """Return what a message keeps of a file."""
    return attached_file_pb2.AttachedFile(
        id=file.id,
        name=file.name,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=_hex(file),
        custom_data=_custom_data(file),
    )


def _hex(file: File) -> str:
    return file.sha256.hex() if file.sha256 is not None else ""


def _custom_data(file: File) -> struct_pb2.Value | None:
    return json_values.value_of(json.loads(file.custom_data)) if file.custom_data is not None else None
