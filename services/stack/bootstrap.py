"""`python -m services.stack.bootstrap`: the database, its schemas and roles on a PostgreSQL that runs elsewhere.

A one-shot job, to be run before the migrations and again whenever a password changes. It reads
CHATKIT_SUPERUSER_DATABASE_URL, CHATKIT_DATABASE (chatkit), and for each service CHATKIT_<SERVICE>_PASSWORD and
CHATKIT_<SERVICE>_MIGRATE_PASSWORD.
"""

import os
import sys
from collections.abc import Mapping

import psycopg

from services.runtime.database import in_one_line
from services.stack.new_secrets import SAMPLE
from services.stack.roles import all_roles, bootstrap

SUPERUSER_URL = "CHATKIT_SUPERUSER_DATABASE_URL"
DATABASE = "CHATKIT_DATABASE"


def password_variable(role: str) -> str:
    """Return the name of the variable that holds a role's password."""
    return f"{role.upper()}_PASSWORD"


def main(environ: Mapping[str, str]) -> int:
    """Make everything, or bring it to what it should be, and return the exit status."""
    variables = {role: password_variable(role) for role in all_roles()}
    missing = [name for name in (SUPERUSER_URL, *variables.values()) if not environ.get(name)]
    samples = [name for name in variables.values() if environ.get(name, "").startswith(SAMPLE)]
    if missing or samples:
        wrong = f"not set: {', '.join(missing)}" if missing else f"still the samples: {', '.join(samples)}"
        sys.stderr.write(f"bootstrap: {wrong}\n")
        return 2
    passwords = {role: environ[name] for role, name in variables.items()}
    try:
        bootstrap(environ[SUPERUSER_URL], environ.get(DATABASE, "chatkit"), passwords)
    except psycopg.Error as error:
        sys.stderr.write(f"bootstrap: {in_one_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
