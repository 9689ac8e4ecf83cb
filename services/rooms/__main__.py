"""`python -m services.rooms serve`, `… migrate` and `… verify`."""

import sys
from pathlib import Path

from services.rooms.app import build
from services.rooms.settings import RoomsSettings
from services.rooms.verifying import compare
from services.runtime.process.main import main
from services.runtime.process.verifying import verify_command

if __name__ == "__main__":
    commands = {"verify": verify_command("rooms", compare)}
    sys.exit(main("rooms", build, RoomsSettings, Path(__file__).parent / "migrations", commands))
