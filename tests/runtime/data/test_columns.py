"""A column that was forgotten is an error, and nothing that is silently not stored or not read."""

from dataclasses import dataclass, make_dataclass

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, insert, select
from sqlalchemy.exc import CompileError

from services.runtime.data.columns import columns_of, fields_of, values_of

PLANTS = Table("plants", MetaData(), Column("id", Integer), Column("name", Text), Column("secret", Text))


@dataclass(frozen=True, slots=True)
class Plant:
    """What has a field for some columns, in an order of its own."""

    name: str
    id: int


Forgotten = make_dataclass("Forgotten", [("name", str), ("height", int)])


def test_what_was_stored_by_its_fields_is_read_by_them() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        PLANTS.create(connection)
        connection.execute(insert(PLANTS).values(**values_of(Plant("fern", 7)), secret="s"))
        (row,) = connection.execute(select(*columns_of(PLANTS, Plant), PLANTS.c.secret))
    engine.dispose()
    assert [column.name for column in columns_of(PLANTS, Plant)] == ["name", "id"]
    assert Plant(**fields_of(row, Plant)) == Plant("fern", 7)
    with pytest.raises(AttributeError, match="height"):
        fields_of(row, Forgotten)


def test_a_field_without_a_column_is_refused() -> None:
    with pytest.raises(KeyError, match="height"):
        columns_of(PLANTS, Forgotten)
    with pytest.raises(CompileError, match="height"):
        str(insert(PLANTS).values(values_of(Forgotten("fern", 3))))
    assert values_of(Forgotten("fern", 3), "height") == {"name": "fern"}
    with pytest.raises(KeyError, match="size"):
        values_of(Forgotten("fern", 3), "size")
