"""`python -m services.stack.bootstrap`: the database, its schemas and roles on a PostgreSQL that runs elsewhere.

A one-shot job, to be run before the migrations and again whenever a password changes. It reads CHATKIT_DATABASE
(chatkit), CHATKIT_SUPERUSER_DATABASE_URL, CHATKIT_SUPERUSER_PASSWORD for a URL without one, and for each service
CHATKIT_<SERVICE>_PASSWORD and CHATKIT_<SERVICE>_MIGRATE_PASSWORD. All but the first may be files: `X_FILE`.
"""

import os
import sys
from collections.abc import Mapping

import psycopg

from services.runtime.data.database import in_one_line
from services.runtime.secret_settings import read_secret, with_password
from services.stack.new_secrets import SAMPLE
from services.stack.roles import all_roles
from services.stack.schemas import bootstrap

SUPERUSER_URL = "CHATKIT_SUPERUSER_DATABASE_URL"
SUPERUSER_PASSWORD = "CHATKIT_SUPERUSER_PASSWORD"  # noqa: S105 - a variable's name
DATABASE = "CHATKIT_DATABASE"


def password_variable(role: str) -> str:
    """Return the name of the variable that holds a role's password."""
    return f"{role.upper()}_PASSWORD"


SECRETS = (SUPERUSER_URL, SUPERUSER_PASSWORD, *(password_variable(role) for role in all_roles()))


def main(environ: Mapping[str, str]) -> int:
    """Make everything, or bring it to what it should be, and return the exit status."""
    try:
        told = {name: read_secret(environ, name) for name in SECRETS}
        _refuse_incomplete(told)
        superuser_dsn = with_password(told[SUPERUSER_URL], told[SUPERUSER_PASSWORD])
        passwords = {role: told[password_variable(role)] for role in all_roles()}
        bootstrap(superuser_dsn, environ.get(DATABASE, "chatkit"), passwords)
    except ValueError as error:
        sys.stderr.write(f"bootstrap: {error}\n")
        return 2
    except psycopg.Error as error:
        sys.stderr.write(f"bootstrap: {in_one_line(error)}\n")
        return 1
    return 0


def _refuse_incomplete(told: Mapping[str, str]) -> None:
    passwords = [password_variable(role) for role in all_roles()]
    if missing := [name for name in (SUPERUSER_URL, *passwords) if not told[name]]:
        raise ValueError(f"not set: {', '.join(missing)}")
    if samples := [name for name in passwords if told[name].startswith(SAMPLE)]:
        raise ValueError(f"still the samples: {', '.join(samples)}")


if __name__ == "__main__":
    sys.exit(main(os.environ))
