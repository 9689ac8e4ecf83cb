"""The tables beside a schema's `changes`, for the stores; its migrations make them."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Table


def change_counter_of(changes: Table) -> Table:
    """Return the table of one row, whose lock gives changes their versions: at a look, or with each commit."""
    is_ordered_later = Column("is_ordered_later", Boolean, nullable=False)
    return Table("change_counter", changes.metadata, Column("version", BigInteger), is_ordered_later)


def unordered_changes_of(changes: Table) -> Table:
    """Return the table of changes that have no version yet."""
    columns = (Column(one.name, one.type) for one in changes.columns if one.name != "version")
    return Table(
        "unordered_changes", changes.metadata, Column("id", BigInteger, Identity(), primary_key=True), *columns
    )
