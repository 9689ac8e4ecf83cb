"""`python -m services.files serve`, `… migrate`, `… reconcile` and `… verify`."""

import sys
from pathlib import Path

from services.files.settings import FilesSettings
from services.runtime.process.main import VERIFY_FLAGS, Command, main

COMMANDS = {
    "reconcile": Command(
        "services.files.collection.reconciler:reconcile", {"dry-run": "of reconcile: only say what would be done"}
    ),
    "verify": Command("services.files.verifying:verify", VERIFY_FLAGS),
}

if __name__ == "__main__":
    sys.exit(main("files", FilesSettings, Path(__file__).parent / "migrations", COMMANDS))
