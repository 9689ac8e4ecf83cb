"""`python -m services.rooms serve`, `… migrate`, `… verify`, `… import` and `… export`."""

import sys
from pathlib import Path

from services.rooms import transfer
from services.rooms.app import build
from services.rooms.settings import RoomsSettings
from services.rooms.verifying import compare
from services.runtime.process.main import Command, main
from services.runtime.process.transferring import export_command, import_command
from services.runtime.process.verifying import verify_command

if __name__ == "__main__":
    commands: dict[str, Command[RoomsSettings]] = {
        "verify": verify_command("rooms", compare),
        "import": import_command("rooms", transfer.reader, transfer.writer),
        "export": export_command("rooms", transfer.export),
    }
    sys.exit(main("rooms", build, RoomsSettings, Path(__file__).parent / "migrations", commands))
