"""`python -m services.users serve`, `… migrate` and `… verify`."""

import sys
from pathlib import Path

from services.runtime.process.main import main
from services.runtime.process.verifying import verify_command
from services.users.app import build
from services.users.settings import UsersSettings
from services.users.verifying import compare

if __name__ == "__main__":
    commands = {"verify": verify_command("users", compare)}
    sys.exit(main("users", build, UsersSettings, Path(__file__).parent / "migrations", commands))
