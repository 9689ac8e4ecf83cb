"""How an edge ends without cutting anything: it tells load balancers, then clients, then ends streams, then waits.

Each step has its time, so that whoever restarts an edge knows how long that may take.
"""

import asyncio
from pathlib import Path

import structlog

from services.edge import envoy
from services.edge.farewell import Farewell
from services.edge.rendering.pages import DRAINING

_log = structlog.get_logger()
_POLL_SECONDS = 0.1
# Whose stream was ended comes back within a second, over HTTP/1 on the same connection. Its next answer tells it to go
# elsewhere, so it is waited for: what it sends to an edge that has just gone would be lost.
_QUIET_SECONDS = 2.0


class Ending:
    """The ending of the Envoy behind an admin socket."""

    def __init__(self, socket: Path, farewell: Farewell, *, drain_seconds: float, grace_seconds: float) -> None:
        self._socket = socket
        self._farewell = farewell
        self._drain_seconds = drain_seconds
        self._grace_seconds = grace_seconds

    async def drain(self) -> None:
        """Let load balancers turn away and clients go elsewhere, and return when nothing is open or time is up."""
        _log.info("draining", seconds=self._drain_seconds)
        await self._post(f"/runtime_modify?{DRAINING}=100")
        await asyncio.sleep(self._drain_seconds)
        _log.info("sending_clients_away", seconds=envoy.GOODBYE_SECONDS)
        await self._post("/drain_listeners?graceful&inboundonly")
        await asyncio.sleep(envoy.GOODBYE_SECONDS)
        await self._finish(_QUIET_SECONDS)

    async def stop(self) -> None:
        """Take no connections any more, because nothing takes the edge's place, and return as `drain` does."""
        _log.info("stopping")
        await self._post("/drain_listeners?graceful&skip_exit&inboundonly")
        await self._post("/drain_listeners?inboundonly")
        await self._finish(0.0)

    async def _finish(self, quiet_seconds: float) -> None:
        telling = asyncio.create_task(self._farewell.say())
        try:
            async with asyncio.timeout(self._grace_seconds):
                await self._until_quiet(quiet_seconds)
        except TimeoutError:
            calls, _ = await self._open()
            if calls:
                _log.warning("calls_cut", calls=calls, seconds=self._grace_seconds)
        finally:
            telling.cancel()

    async def _until_quiet(self, seconds: float) -> None:
        """Return once nothing has been open for so long; Envoy does not tell when."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            if sum(await self._open()):
                since = loop.time()
            elif loop.time() >= since + seconds:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _open(self) -> tuple[int, int]:
        """Return how many calls and streams are open, and how many bytes of answers are still on their way."""
        active, buffered = "http.edge.downstream_rq_active", "http.edge.downstream_cx_tx_bytes_buffered"
        figures = await envoy.figures(self._socket, f"^({active}|{buffered})$")
        return figures.get(active, 0), figures.get(buffered, 0)

    async def _post(self, path: str) -> None:
        await envoy.admin(self._socket, "POST", path)
