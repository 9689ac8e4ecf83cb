"""What a room's log had before now, read in pages."""

from collections.abc import AsyncGenerator

import grpc

from chatkit_client.calls import Calls
from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import message_pb2, position_pb2, room_event_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2

_PAGE_SIZE = 100


class History:
    """Reads the pages of rooms."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def log(
        self, room_id: str, after: position_pb2.Position, before_seq: int
    ) -> AsyncGenerator[room_event_pb2.RoomEvent, None]:
        """Yield the events of the room's log between two seqs, both exclusive; what is gone is left out.

        A server of the time before there were edits has no such pages: its log is its messages.
        """
        request = pb2.ListRoomEventsRequest(room_id=room_id, after=after, page_size=_PAGE_SIZE)
        more = after.seq + 1 < before_seq
        while more:
            try:
                page = await self._calls.call(request)
            except ChatkitError as error:
                if error.code is grpc.StatusCode.UNIMPLEMENTED:
                    async for message in self.messages(room_id, after.seq, before_seq):
                        yield _creation(message)
                elif error.reason != "HISTORY_GONE":
                    raise
                return
            for event in page.events:
                if event.seq >= before_seq:
                    return
                yield event
            request.page_token = page.next_page_token
            more = bool(page.next_page_token)

    async def messages(
        self, room_id: str, after_seq: int, before_seq: int
    ) -> AsyncGenerator[message_pb2.Message, None]:
        """Yield the room's messages between two seqs, both exclusive, from older to newer."""
        more = True
        while more and after_seq + 1 < before_seq:
            page = await self._calls.call(
                pb2.ListMessagesRequest(
                    room_id=room_id,
                    direction=pb2.DIRECTION_NEWER,
                    from_seq=after_seq,
                    page_size=min(_PAGE_SIZE, before_seq - after_seq - 1),
                )
            )
            for message in page.messages:
                if message.seq >= before_seq:
                    return
                yield message
                after_seq = message.seq
            more = bool(page.next_page_token)


def _creation(message: message_pb2.Message) -> room_event_pb2.RoomEvent:
    return room_event_pb2.RoomEvent(
        room_id=message.room_id, seq=message.seq, time=message.create_time, message_created=message
    )
