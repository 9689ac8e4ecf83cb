"""The tables of deletions, in the schema of whoever runs them; its migrations make them."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    select,
)

_id = Text(collation="C")
now = func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class DeletionTables:
    """The three tables."""

    deletions: Table
    # How far each deletion is in each service.
    service_deletions: Table
    # Its one row is what subjects' ids are hashed with.
    deletion_salt: Table

    def hash_of(self, subject_id: Any) -> ColumnElement[bytes]:
        """Return what an id is known by when it is forgotten; whoever has the salt can guess it."""
        salt = select(self.deletion_salt.c.salt).scalar_subquery()
        return func.sha256(salt.op("||")(func.convert_to(subject_id, "UTF8")), type_=LargeBinary)

    @classmethod
    def of(cls, metadata: MetaData) -> Self:
        """Declare the tables in a schema."""
        return cls(
            Table(
                "deletions",
                metadata,
                Column("id", Uuid, primary_key=True),
                Column("subject_uid", Uuid),
                # NULL once it is done.
                Column("subject_id", _id),
                # By which a repetition of the call is known, for a day after it was done; NULL from then on.
                Column("subject_hash", LargeBinary),
                Column("state", SmallInteger),
                # When somebody may go on with it, unless those who are at it say so before.
                Column("claim_time", DateTime(timezone=True)),
                Column("create_time", DateTime(timezone=True), server_default=now),
                Column("update_time", DateTime(timezone=True), server_default=now),
                Column("keeps_messages", Boolean),
                # NULL once it is done.
                Column("pseudonym_key", LargeBinary),
            ),
            Table(
                "service_deletions",
                metadata,
                Column("deletion_id", Uuid, primary_key=True),
                Column("service", _id, primary_key=True),
                Column("state", SmallInteger),
                Column("update_time", DateTime(timezone=True), server_default=now),
            ),
            Table(
                "deletion_salt",
                metadata,
                Column("only_row", Boolean, primary_key=True),
                Column("salt", LargeBinary),
            ),
        )
