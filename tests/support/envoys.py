"""The process of Envoy behind a running edge."""

import psutil

from tests.support.edge import Edge


def envoy_of(edge: Edge) -> psutil.Process:
    """Return it."""
    assert edge.child.process is not None
    (child,) = psutil.Process(edge.child.process.pid).children()
    return child
