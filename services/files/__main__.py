"""`python -m services.files serve`, `… migrate`, `… reconcile` and `… verify`."""

import sys
from pathlib import Path

from services.files.app import build
from services.files.collection.reconciler import reconcile
from services.files.settings import FilesSettings
from services.files.verifying import compare
from services.runtime.process.main import Command, main
from services.runtime.process.verifying import verify_command

if __name__ == "__main__":
    commands = {
        "reconcile": Command(reconcile, {"dry-run": "of reconcile: only say what would be done"}),
        "verify": verify_command("files", compare),
    }
    sys.exit(main("files", build, FilesSettings, Path(__file__).parent / "migrations", commands))
