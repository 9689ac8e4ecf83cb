"""`python -m services.users serve`, `… migrate`, `… verify`, `… import` and `… export`."""

import sys
from pathlib import Path

from services.runtime.process.main import Command, main
from services.runtime.process.transferring import export_command, import_command
from services.runtime.process.verifying import verify_command
from services.users import transfer
from services.users.app import build
from services.users.settings import UsersSettings
from services.users.verifying import compare

if __name__ == "__main__":
    commands: dict[str, Command[UsersSettings]] = {
        "verify": verify_command("users", compare),
        "import": import_command("users", transfer.reader, transfer.writer),
        "export": export_command("users", transfer.export),
    }
    sys.exit(main("users", build, UsersSettings, Path(__file__).parent / "migrations", commands))
