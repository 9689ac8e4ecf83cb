"""`chatkit edge`: Envoy's configuration as this home's edge runs it, or as one would, and Envoy's own word on it."""

import argparse
import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from services.edge import envoy
from services.edge.deployment import EXAMPLE, Deployment
from services.edge.process import write
from services.edge.render import configuration, to_yaml
from services.edge.settings import EdgeSettings
from services.runtime.contract.policies import Limits
from services.runtime.settings import read_settings_of
from services.stack.home import Home
from services.stack.recorded import find
from services.stack.trouble import Trouble

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
    running = _running(home)
    return running.read_text() if running is not None else to_yaml(configuration(*_told()))


def _refusal(home: Home) -> str:
    running = _running(home)
    if running is not None:
        return asyncio.run(envoy.refusal(running))
    deployment, limits = _told()
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        return asyncio.run(envoy.refusal(write(replace(deployment, run_folder=Path(folder)), limits)))


def _running(home: Home) -> Path | None:
    """Return the configuration of the edge that runs in this home, if one does."""
    for running in home.state().processes if home.is_up() else ():
        process = find(running)
        if running.name == "edge" and process is not None:
            return Path(process.environ()["CHATKIT_RUN_DIR"]) / "envoy.yaml"
    return None


def _told() -> tuple[Deployment, Limits]:
    """Return what the environment describes; addresses and files are examples unless it describes a deployment."""
    deployment = read_settings_of(EdgeSettings).deployment if os.environ.get(_INSTANCE) else EXAMPLE
    return deployment, Limits.from_environ(os.environ)
