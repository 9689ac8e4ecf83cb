"""`chatkit edge`: Envoy's configuration as this home's edge runs it, or as one would, and Envoy's own word on it.

What only one of these needs is imported for it.
"""

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from services.stack.home import Home
from services.stack.machine.recorded import find
from services.stack.trouble import Trouble

if TYPE_CHECKING:
    from services.edge.deployment import Deployment
    from services.runtime.contract.policies import Limits

_INSTANCE = "CHATKIT_INSTANCE"


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Print the configuration, or have it checked; the exit status is 1 when Envoy would not take it."""
    try:
        if arguments.print:
            print(_text(home), end="")
            return 0
        refusal = _refusal(home)
    except (ValueError, OSError) as error:
        raise Trouble(str(error)) from None
    print(refusal or "Envoy takes this configuration.")
    return 1 if refusal else 0


def _text(home: Home) -> str:
    from services.edge.rendering.bootstrap import configuration, to_yaml  # noqa: PLC0415 - see above

    running = _running(home)
    return to_yaml(json.loads(running.read_bytes()) if running is not None else configuration(*_told()))


def _refusal(home: Home) -> str:
    import asyncio  # noqa: PLC0415 - see above

    from services.edge import envoy  # noqa: PLC0415 - see above

    running = _running(home)
    if running is not None:
        return asyncio.run(envoy.refusal(running))
    from services.edge.process import write  # noqa: PLC0415 - see above

    deployment, limits = _told()
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        return asyncio.run(envoy.refusal(write(replace(deployment, run_folder=Path(folder)), limits)))


def _running(home: Home) -> Path | None:
    """Return the configuration of the edge that runs in this home, if one does."""
    for running in home.state().processes if home.is_up() else ():
        process = find(running)
        if running.name == "edge" and process is not None:
            from services.edge.deployment import RENDERING  # noqa: PLC0415 - see above

            return Path(process.environ()["CHATKIT_RUN_DIR"]) / RENDERING
    return None


def _told() -> "tuple[Deployment, Limits]":
    """Return what the environment describes; addresses and files are examples unless it describes a deployment."""
    from services.edge.deployment import EXAMPLE  # noqa: PLC0415 - see above
    from services.runtime.contract.policies import Limits  # noqa: PLC0415 - see above

    limits = Limits.from_environ(os.environ)
    if not os.environ.get(_INSTANCE):
        return EXAMPLE, limits
    from services.edge.settings import EdgeSettings  # noqa: PLC0415 - see above
    from services.runtime.settings import read_settings_of  # noqa: PLC0415 - see above

    return read_settings_of(EdgeSettings).deployment, limits
