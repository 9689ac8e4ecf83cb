"""The statements that this process makes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

from services.runtime.data.database import Database
from services.runtime.data.query import Query

Wanted = Callable[[str], bool]


@contextmanager
def noting_statements(wanted: Wanted, database: Database | None = None) -> Iterator[list[str]]:
    """Note the statements that are wanted, of one database or of all that this process has."""
    seen: list[str] = []
    read = Database.rows

    def note(statement: str) -> None:
        if wanted(statement):
            seen.append(statement)

    def say(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        note(statement)

    async def rows(self: Database, query: Query, *values: Any) -> list[Any]:
        if database in (None, self):
            note(query.sql)
        return await read(self, query, *values)

    engine = Engine if database is None else database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", say)
    try:
        with patch.object(Database, "rows", rows):
            yield seen
    finally:
        event.remove(engine, "before_cursor_execute", say)
