"""`python -m services.rooms serve`, `… migrate`, `… rotate-epoch`, `… verify`, `… import` and `… export`."""

import sys
from pathlib import Path

from services.rooms.settings import RoomsSettings
from services.runtime.process.main import IMPORT_FLAGS, VERIFY_FLAGS, Command, main

COMMANDS = {
    "rotate-epoch": Command("services.rooms.rotation:rotate_epoch"),
    "verify": Command("services.rooms.verifying:verify", VERIFY_FLAGS),
    "import": Command("services.rooms.transfer:run_import", IMPORT_FLAGS),
    "export": Command("services.rooms.transfer:run_export"),
}

if __name__ == "__main__":
    sys.exit(main("rooms", RoomsSettings, Path(__file__).parent / "migrations", COMMANDS))
