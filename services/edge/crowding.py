"""Tells Envoy how near it is to the number of clients that it may have: its overload manager has no eye for that.

Envoy watches the file that is written here, and keeps connections that do nothing the shorter the fuller it is: whoever
fills it with such connections would otherwise keep all others out for as long as they may be idle.
"""

import asyncio

import structlog

from services.edge import envoy
from services.edge.deployment import Deployment

_log = structlog.get_logger()
_ACTIVE = "http.edge.downstream_cx_active"
_POLL_SECONDS = 0.5
_NO_ANSWER_SECONDS = 5.0


class Crowding:
    """How full the Envoy of a deployment is."""

    def __init__(self, deployment: Deployment) -> None:
        self._socket = deployment.admin_socket
        self._file = deployment.crowding_file
        self._most = deployment.connections
        self._said: float | None = None
        self._is_blind = False

    def say(self, connections: int) -> None:
        """Write the share that is taken where Envoy reads it; a file that is moved there is what it notices."""
        share = min(1.0, round(connections / self._most, 2))
        if share == self._said:
            return
        new = self._file.with_suffix(".new")
        new.write_text(f"{share}", encoding="ascii")
        new.rename(self._file)
        self._said = share

    async def run(self) -> None:
        """Look for ever; while Envoy does not answer, or the file can't be written, what was said last holds."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                async with asyncio.timeout(_NO_ANSWER_SECONDS):
                    self.say(await self._connections())
                self._is_blind = False
            except (OSError, ValueError) as error:
                if not self._is_blind:
                    _log.warning("crowding_unknown", problem=str(error) or type(error).__name__)
                self._is_blind = True

    async def _connections(self) -> int:
        figures = await envoy.figures(self._socket, f"^{_ACTIVE}$")
        if _ACTIVE not in figures:
            raise ValueError("the figure is not there")
        return figures[_ACTIVE]
