"""The process of Envoy behind a running edge."""

import psutil

from services.stack.machine.health import EdgeHealth
from tests.support.edge import Edge


def envoy_of(edge: Edge) -> psutil.Process:
    """Return it."""
    assert edge.child.process is not None
    (child,) = psutil.Process(edge.child.process.pid).children()
    return child


async def kill_envoy(edge: Edge) -> None:
    """Kill it the hard way, and the edge is gone; until `start_again`."""
    envoy_of(edge).kill()
    assert edge.child.process is not None
    await edge.child.process.wait()


async def start_again(edge: Edge) -> None:
    """Start the edge at the same address, and return when it serves."""
    await edge.child.start()
    await edge.child.wait_until(EdgeHealth(), deadline=float("inf"))
