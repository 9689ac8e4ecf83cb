"""Runs a service's Alembic migrations as its migrate role, one process at a time, from code alone: no ini files."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from services.runtime.database import sqlalchemy_url

# A migration that can't get its lock gives up instead of queueing every caller behind it.
_LOCK_TIMEOUT = "5s"


def upgrade(dsn: str, schema: str, migrations: Path) -> None:
    """Bring a schema to the newest revision under `migrations`; a schema that is there already is left alone."""
    engine = create_engine(sqlalchemy_url(dsn))
    try:
        with engine.connect() as connection:
            connection.execute(
                text("SELECT pg_advisory_lock(hashtext(:name))"),
                {"name": f"chatkit {schema}"},
            )
            connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            connection.commit()
            _run(connection, schema, migrations)
    finally:
        engine.dispose()


def _run(connection: Connection, schema: str, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)

    def steps(revision: object, _context: object) -> object:
        # As alembic's own `upgrade` command does; there is no public way without an ini file and an env.py.
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]  # noqa: SLF001

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection,
            version_table_schema=schema,
            transaction_per_migration=True,
        )
        environment.run_migrations()
    connection.commit()
