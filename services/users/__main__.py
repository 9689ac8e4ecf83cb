"""`python -m services.users serve`, `… migrate`, `… rotate-epoch`, `… verify`, `… import` and `… export`."""

import sys
from pathlib import Path

from services.runtime.process.main import IMPORT_FLAGS, VERIFY_FLAGS, Command, main
from services.users.settings import UsersSettings

COMMANDS = {
    "rotate-epoch": Command("services.users.rotation:rotate_epoch"),
    "verify": Command("services.users.verifying:verify", VERIFY_FLAGS),
    "import": Command("services.users.transfer:run_import", IMPORT_FLAGS),
    "export": Command("services.users.transfer:run_export"),
}

if __name__ == "__main__":
    sys.exit(main("users", UsersSettings, Path(__file__).parent / "migrations", COMMANDS))
