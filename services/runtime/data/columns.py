"""Columns, rows and dataclasses that name the same things: what a dataclass has a field for is not named again."""

from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import Column, Table


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def columns_of(table: Table, kind: type) -> tuple[Column[Any], ...]:
    """Return the columns that a dataclass has fields for, in their order; KeyError for a field without a column."""
    return tuple(table.c[name] for name in _names(kind))


def fields_of(row: Any, kind: type) -> dict[str, Any]:
    """Return what a row has for a dataclass's fields, as it is stored; AttributeError for one that the row lacks."""
    return {name: getattr(row, name) for name in _names(kind)}


def values_of(thing: object, *left_out: str) -> dict[str, Any]:
    """Return a dataclass's fields by their names as values for a statement, which refuses one without a column.

    KeyError for a field to leave out that the dataclass does not have.
    """
    kind: type = type(thing)
    values = {name: getattr(thing, name) for name in _names(kind)}
    for name in left_out:
        del values[name]
    return values
