"""`python -m services.messages serve`, `… migrate`, `… rotate-epoch`, `… verify`, `… import` and `… export`."""

import sys
from pathlib import Path

from services.messages.settings import MessagesSettings
from services.runtime.process.main import IMPORT_FLAGS, VERIFY_FLAGS, Command, main

COMMANDS = {
    "rotate-epoch": Command("services.messages.rotation:rotate_epoch"),
    "verify": Command("services.messages.verifying:verify", VERIFY_FLAGS),
    "import": Command("services.messages.transfer.importing:run_import", IMPORT_FLAGS),
    "export": Command("services.messages.transfer.exporting:run_export"),
}

if __name__ == "__main__":
    sys.exit(main("messages", MessagesSettings, Path(__file__).parent / "migrations", COMMANDS))
