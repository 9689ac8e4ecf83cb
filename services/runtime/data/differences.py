"""Whether an update would change anything, asked in the statement that makes it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, or_


def differs(table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a row has another value in one of these columns; there must be one."""
    return or_(*(table.c[name].is_distinct_from(value) for name, value in values.items()))
