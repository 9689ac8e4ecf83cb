"""Runs a service's Alembic migrations as its migrate role, one process at a time, from code alone: no ini files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from services.runtime.data.database import sqlalchemy_url

# A migration that can't get its lock gives up instead of queueing every caller behind it.
_LOCK_TIMEOUT = "5s"
_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: the revisions that it applied, oldest first, and the one at which the schema is now."""

    applied: Sequence[str]
    head: str
    # Whether that is a revision of a later release, which this one does not know.
    is_later: bool = False

    def __str__(self) -> str:
        if self.is_later:
            return f"nothing to do, the schema is at {self.head} already, of a later release"
        if not self.applied:
            return f"nothing to do, the schema is at {self.head}"
        return f"applied {', '.join(self.applied)}; the schema is at {self.head}"


def upgrade(dsn: str, schema: str, migrations: Path) -> Upgraded:
    """Bring a schema to the newest revision under `migrations`; a schema that is there already is left alone.

    So is one of a later release, on which processes of this one work: who rolls a service back runs this, too.
    Raises what the driver raises: an OperationalError when the database is away, or a lock can't be had.
    """
    engine = create_engine(sqlalchemy_url(dsn), connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            connection.execute(
                text("SELECT pg_advisory_lock(hashtext(:name))"),
                {"name": f"chatkit {schema}"},
            )
            connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.commit()
            return _run(connection, schema, migrations)
    finally:
        engine.dispose()


def newest_revision(migrations: Path) -> str:
    """Return the revision to which `upgrade` brings a schema."""
    return _newest(ScriptDirectory.from_config(_config(migrations)))


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _newest(script: ScriptDirectory) -> str:
    return str(script.get_current_head())


def _run(connection: Connection, schema: str, migrations: Path) -> Upgraded:
    config = _config(migrations)
    script = ScriptDirectory.from_config(config)

    applied: list[str] = []
    newest = _newest(script)
    later: list[str] = []

    def steps(revisions: tuple[str, ...], _context: object) -> object:
        # Revisions are numbers of as many digits each.
        later.extend(revision for revision in revisions if revision > newest)
        if later:
            return []
        # As alembic's own `upgrade` command does; there is no public way without an ini file and an env.py.
        found = script._upgrade_revs("head", revisions)  # type: ignore[arg-type]  # noqa: SLF001
        applied.extend(step.revision.revision for step in found)
        return found

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection,
            version_table_schema=schema,
            transaction_per_migration=True,
        )
        environment.run_migrations()
    connection.commit()
    return Upgraded(applied, max(later, default=newest), is_later=bool(later))
