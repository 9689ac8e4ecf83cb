"""The tables of the schema `files`, for the stores; migrations/ makes them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)

from services.files.model import File, FileState
from services.runtime.data.columns import columns_of, fields_of

metadata = MetaData(schema="files")
_id = Text(collation="C")
now = func.clock_timestamp()
files = Table(
    "files",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("room_uid", Uuid),
    Column("room_id", _id),
    Column("owner_uid", Uuid),
    Column("owner_id", _id),
    Column("name", Text),
    Column("content_type", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", LargeBinary),
    Column("custom_data", Text),
    Column("state", SmallInteger),
    Column("blob_key", _id),
    Column("request_id", _id),
    Column("content_hash", LargeBinary),
    Column("create_time", DateTime(timezone=True)),
    Column("attach_time", DateTime(timezone=True)),
    # When the collector looks at the file next.
    Column("check_time", DateTime(timezone=True)),
)
uploads = Table(
    "uploads",
    metadata,
    Column("blob_key", _id, primary_key=True),
    Column("file_uid", Uuid),
    Column("start_time", DateTime(timezone=True)),
    # Set when its blob is about to be removed: it can't give a file its content any more.
    Column("is_revoked", Boolean),
)
# Of rooms and users that were deleted: no file comes into being there, or is theirs, any more.
fences = Table("fences", metadata, Column("uid", Uuid, primary_key=True))
usage = Table("usage", metadata, Column("owner_uid", Uuid, primary_key=True), Column("bytes", BigInteger))

FILE_COLUMNS = columns_of(files, File)


def file_of(row: Any) -> File:
    """Return the file of a row that has FILE_COLUMNS."""
    return File(**fields_of(row, File) | {"state": FileState(row.state), "blob_key": row.blob_key or ""})
