"""A load balancer before several edges, as a deployment has one: it asks each for `GET /`, and only carries bytes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from services.edge import envoy
from services.edge.rendering.parts import address, typed
from services.stack.machine.ports import Port

# How soon it notices that an edge does not want to be turned to any more, and that one is there again.
_CHECK = {
    "timeout": "5s",
    "interval": "0.1s",
    "no_traffic_interval": "0.1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "http_health_check": {"path": "/"},
}


class Balancer:
    """A running balancer."""

    def __init__(self, held_address: str, admin: Path) -> None:
        self.address = held_address
        self._admin = admin

    async def turns_to(self, edge: str) -> bool:
        """Tell whether an edge gets new connections."""
        lines = (await envoy.admin(self._admin, "GET", "/clusters")).splitlines()
        return any(line == f"edges::{edge}::health_flags::healthy" for line in lines)


@asynccontextmanager
async def running_balancer(edges: Sequence[str], folder: Path) -> AsyncIterator[Balancer]:
    """Run it before the edges at these addresses."""
    held, admin, configuration = Port("127.0.0.1"), folder / "admin.sock", folder / "balancer.yaml"
    configuration.write_text(yaml.safe_dump(_configuration(held.address, admin, edges)))
    process = await envoy.start(configuration, concurrency=1)
    try:
        yield Balancer(held.address, admin)
    finally:
        process.kill()
        await process.wait()
        held.release()


def _configuration(listen: str, admin: Path, edges: Sequence[str]) -> Any:
    proxy = typed(
        "envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="edges", cluster="edges"
    )
    endpoints = [{"endpoint": {"address": address(edge)}} for edge in edges]
    cluster = {
        "name": "edges",
        "type": "STATIC",
        "connect_timeout": "5s",
        "health_checks": [_CHECK],
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}, "update_merge_window": "0s"},
        "load_assignment": {"cluster_name": "edges", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    listener = {"name": "edges", "address": address(listen), "filter_chains": [{"filters": [proxy]}]}
    return {
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


async def until_it_turns_to(balancer: Balancer, edge: str) -> None:
    """Return once the balancer has found an edge healthy."""
    while True:
        try:
            if await balancer.turns_to(edge):
                return
        except OSError:
            # It is not there yet itself.
            pass
        await asyncio.sleep(0.05)
