"""Health per service: NOT_SERVING until everything it needs was reached once, then SERVING until it drains or breaks.

It does not turn back when the database goes away for a while: else a restart of PostgreSQL would eject every replica.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from grpc_health.v1 import health, health_pb2

from services.runtime.clock import Clock
from services.runtime.problems import problem_of
from services.runtime.release import Release

_log = structlog.get_logger()
_ATTEMPT_SECONDS = 3.0

Check = Callable[[], Awaitable[None]]
# What to ask health for to learn whether the process answers at all. What restarts processes goes by this: one that
# waits for its database, or drains, must not be killed for it.
LIVENESS = "liveness"


class _Health(health.aio.HealthServicer):  # type: ignore[misc]  # it has no types
    """Says as metadata of each answer which release the process is of; the rest is grpcio-health-checking's."""

    def __init__(self, release: Release) -> None:
        super().__init__()
        self._metadata = release.metadata

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        """Answer how the process is, and for `liveness` that it answers."""
        await context.send_initial_metadata(self._metadata)
        if request.service == LIVENESS:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        return await super().Check(request, context)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Answer how the process is, and whenever that changes."""
        await context.send_initial_metadata(self._metadata)
        await super().Watch(request, context)


class Readiness:
    """Decides what the health service says."""

    def __init__(self, clock: Clock, retry_interval: float, release: Release) -> None:
        self.servicer = _Health(release)
        self._clock = clock
        self._retry_interval = retry_interval
        self._broken = False
        self._was_ready = False

    @property
    def is_serving(self) -> bool:
        """Whether callers may turn to the process."""
        return self._was_ready and not self._broken

    @property
    def is_ending(self) -> bool:
        """Whether nobody should turn to the process any more, because it drains or is broken."""
        return self._broken

    async def start(self) -> None:
        """Say NOT_SERVING, because the servicer's own default is the opposite."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def await_dependencies(self, checks: Mapping[str, Check]) -> None:
        """Say SERVING once each check has passed; a check may fail for as long as it likes."""
        async with asyncio.TaskGroup() as group:
            for name, check in checks.items():
                group.create_task(self._await(name, check))
        if not self._broken:
            self._was_ready = True
            await self._say(health_pb2.HealthCheckResponse.SERVING)
            _log.info("ready")

    async def break_down(self, reason: str) -> None:
        """Say NOT_SERVING for good, because a part died that the service can't do without."""
        self._broken = True
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        _log.error("broken", reason=reason)

    async def drain(self) -> None:
        """Say NOT_SERVING for good, because the process is about to end."""
        self._broken = True
        await self.servicer.enter_graceful_shutdown()

    async def _await(self, name: str, check: Check) -> None:
        said = ""
        while True:
            try:
                async with asyncio.timeout(_ATTEMPT_SECONDS):
                    return await check()
            except ValueError as error:
                # A configuration that can't work does not start to work by waiting.
                _log.error("can_not_work", dependency=name, problem=str(error))
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not there yet
                said = self._report(name, problem_of(error), said)
            await self._clock.sleep(self._retry_interval)

    def _report(self, name: str, problem: str, said: str) -> str:
        if problem != said:
            _log.warning("waiting_for", dependency=name, problem=problem)
        return problem

    async def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        await self.servicer.set(health.OVERALL_HEALTH, status)
