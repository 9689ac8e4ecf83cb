"""A few messages: a call for each."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from chatkit_client.calls import Calls
from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from chatkit_client.sending.outcomes import Sent

# Rooms that are sent to at once.
_ROOMS_AT_ONCE = 8


class ByCalls:
    """Sends each message with a call, one after the other in a room, and several rooms at once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def send(self, requests: Sequence[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each, as it becomes known."""
        of_rooms: dict[str, list[pb2.SendMessageRequest]] = {}
        for one in requests:
            of_rooms.setdefault(one.room_id, []).append(one)
        done: asyncio.Queue[Sent | Exception] = asyncio.Queue()
        places = asyncio.Semaphore(_ROOMS_AT_ONCE)
        tasks = [asyncio.create_task(self._send_to_room(room, places, done)) for room in of_rooms.values()]
        try:
            for _ in requests:
                sent = await done.get()
                if isinstance(sent, Exception):
                    raise sent
                yield sent
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_to_room(
        self,
        requests: Sequence[pb2.SendMessageRequest],
        places: asyncio.Semaphore,
        done: asyncio.Queue[Sent | Exception],
    ) -> None:
        async with places:
            for one in requests:
                try:
                    done.put_nowait(await self._send(one))
                except Exception as error:  # noqa: BLE001 - whoever waits for what becomes of the messages raises it
                    done.put_nowait(error)
                    return

    async def _send(self, one: pb2.SendMessageRequest) -> Sent:
        try:
            answer: pb2.SendMessageResponse = await self._calls.call(one)
        except ChatkitError as error:
            return Sent(one, error=error)
        return Sent(one, answer.message)
