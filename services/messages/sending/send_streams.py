"""The use case of sending on a stream, and what happens to all such streams of a process by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable

from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.sending import frames
from services.messages.sending.send_stream import Parts, SendStream
from services.runtime.calls.call import Call
from services.runtime.contract.errors import ChatkitError
from services.runtime.steps import WAKING, Chores, Pace, each

_TICK_SECONDS = 1.0


class SendStreams:
    """The streams of sends of a process; `run` does what is due."""

    def __init__(self, parts: Parts, *, heartbeat_interval: float) -> None:
        self._parts = parts
        self._heartbeat_interval = heartbeat_interval
        self._open: set[SendStream] = set()
        self._chores = Chores()

    async def send(self, requests: AsyncIterator[pb2.SendMessagesRequest], call: Call) -> AsyncIterator[bytes]:
        """Append the messages that come, and yield the frames of their results.

        Where the client has not ended the stream, `closed` is the last frame, and then this raises why it ended.
        """
        if call.query is None:
            raise RuntimeError("the method's policy asks for no membership")
        stream = SendStream(self._parts, call, call.query)
        self._open.add(stream)
        try:
            stream.begin(requests)
            call.on_end(stream.end)
            try:
                async for frame in stream.queue.frames():
                    yield frame
            except ChatkitError as error:
                # Before the last word, which a client who does not read never takes.
                await stream.close()
                yield frames.closed_event(error)
                raise
        finally:
            self._open.discard(stream)
            await stream.close()

    def end_all(self, error: Callable[[], ChatkitError]) -> None:
        """End every stream, as soon as what is under way has its results."""
        self._chores.put(each(list(self._open), lambda stream: stream.end(error()), WAKING))

    async def run(self) -> None:
        """Send heartbeats, and end what has waited for too long, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._chores.run())
            group.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await self._parts.clock.sleep(_TICK_SECONDS)
            pace = Pace()
            for stream in list(self._open):
                await pace.did(stream.look(self._heartbeat_interval))
