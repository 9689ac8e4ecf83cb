"""`python -m services.files serve`, `… migrate` and `… reconcile`."""

import sys
from pathlib import Path

from services.files.app import build
from services.files.reconciler import reconcile
from services.runtime.process import Command, main

if __name__ == "__main__":
    commands = {"reconcile": Command(reconcile, {"dry-run": "of reconcile: only say what would be done"})}
    sys.exit(main("files", build, Path(__file__).parent / "migrations", commands))
