"""A service of the suite in a process of its own, told by its environment as in production."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from services.runtime.contract.policies import ENVIRONMENT_PREFIX
from services.runtime.settings import Settings
from tests.support.suite import ready
from tests.support.untold import nothing_told


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that say what the settings say."""
    told: dict[str, str] = {}
    for name in settings.model_fields_set - {"limit_overrides"}:
        value = getattr(settings, name)
        told[f"CHATKIT_{name.upper()}"] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    limits = {f"{ENVIRONMENT_PREFIX}{name}": str(value) for name, value in settings.limit_overrides.items()}
    return {**os.environ, **told, **limits}


@asynccontextmanager
async def own_process(
    command: Sequence[str], settings: Settings, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a service until the context ends, from the moment when it is ready or has ended."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment(settings), stdout=output, stderr=output
        )
    waits = [asyncio.create_task(ready(settings.listen)), asyncio.create_task(process.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        yield process
    finally:
        for wait in waits:
            wait.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    nothing_told([log])
