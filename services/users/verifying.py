"""What users knows, compared: nobody tells users anything, so it is only the schema's own epoch."""

from collections.abc import AsyncIterator

from services.runtime.clock import Clock
from services.runtime.process.command import Tools
from services.runtime.process.verifying import Finding, unnoticed, verify_command
from services.runtime.settings import Settings


async def compare(_settings: Settings, tools: Tools, _clock: Clock) -> AsyncIterator[Finding]:
    """Find what does not fit."""
    async for finding in unnoticed("users", tools):
        yield finding


verify = verify_command("users", compare)
