"""`python -m services.messages serve`, `… migrate`, `… rotate-epoch`, `… verify`, `… import` and `… export`."""

import sys
from collections.abc import Collection
from pathlib import Path

from services.messages.app import build
from services.messages.settings import MessagesSettings
from services.messages.transfer.exporting import export
from services.messages.transfer.importing import reader, writer
from services.messages.verifying import compare
from services.runtime.clock import Clock
from services.runtime.data.epoch import rotate
from services.runtime.process.main import Command, main
from services.runtime.process.transferring import export_command, import_command
from services.runtime.process.verifying import verify_command
from services.runtime.settings import Settings


async def _rotate_epoch(settings: Settings, _clock: Clock, _flags: Collection[str]) -> int:
    epoch = rotate(settings.database_url.get_secret_value(), "messages")
    told = "no log was ever written: there is nothing to rotate" if epoch is None else f"the epoch is {epoch}"
    sys.stdout.write(f"{told}\n")
    return 0


_COMMANDS: dict[str, Command[MessagesSettings]] = {
    "rotate-epoch": Command(_rotate_epoch),
    "verify": verify_command("messages", compare),
    "import": import_command("messages", reader, writer),
    "export": export_command("messages", export),
}


if __name__ == "__main__":
    sys.exit(main("messages", build, MessagesSettings, Path(__file__).parent / "migrations", _COMMANDS))
