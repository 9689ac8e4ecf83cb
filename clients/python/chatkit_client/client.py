"""A connection to the suite: stubs, tokens, and calls that are repeated where repeating is safe.

One Client is one user. `with_token` makes another one on the same connection, for programs that act for many.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Self

import grpc
from chatkit.contract.v1 import method_policy_pb2
from chatkit.files.v1 import files_service_pb2_grpc
from chatkit.messages.v1 import (
    message_pb2,
    messages_service_pb2,
    messages_service_pb2_grpc,
    position_pb2,
    read_states_service_pb2_grpc,
    room_event_pb2,
)
from chatkit.rooms.v1 import memberships_service_pb2_grpc, rooms_service_pb2_grpc
from chatkit.users.v1 import users_service_pb2_grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from chatkit_client.errors import ChatkitError, from_rpc_error
from chatkit_client.retry import Backoff, Clock, SystemClock
from chatkit_client.rooms_subscription import RoomsSubscription
from chatkit_client.subscription import Subscription
from chatkit_client.tokens import Token, Tokens

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Finds connections whose other end has vanished; without it a stream would be resumed on the same dead one.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_ATTEMPT_SECONDS = 12.0
_DEADLINE_SECONDS = 30.0
_PAGE_SIZE = 100


def connect(
    address: str,
    token: Token,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, int | str]] = (),
    clock: Clock | None = None,
) -> "Client":
    """Return a client of the suite at `address` (host:port); nothing is sent before the first call.

    `token` is a token, or an async function that fetches one: it is called for the first token, shortly before one
    expires, and when one has expired. Without credentials the connection is not encrypted. `options` are added to
    gRPC's.
    """
    merged = [*_OPTIONS, *options]
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=merged)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=merged)
    return Client(channel, token, clock or SystemClock())


class Client:
    """Calls and subscriptions of one user.

    `users`, `rooms`, `memberships`, `messages`, `read_states` and `files` are the generated stubs.
    """

    def __init__(self, channel: grpc.aio.Channel, token: Token, clock: Clock) -> None:
        self.users = users_service_pb2_grpc.UsersServiceStub(channel)
        self.rooms = rooms_service_pb2_grpc.RoomsServiceStub(channel)
        self.memberships = memberships_service_pb2_grpc.MembershipsServiceStub(channel)
        self.messages = messages_service_pb2_grpc.MessagesServiceStub(channel)
        self.read_states = read_states_service_pb2_grpc.ReadStatesServiceStub(channel)
        self.files = files_service_pb2_grpc.FilesServiceStub(channel)
        # How often calls were turned away and waited, by reason; `with_token` makes clients that count together.
        self.turned_away: Counter[str] = Counter()
        self._channel = channel
        self._clock = clock
        self._tokens = Tokens(token)

    def with_token(self, token: Token) -> "Client":
        """Return a client of another user on the same connection, which closes with this one."""
        other = Client.__new__(Client)
        other.__dict__.update(self.__dict__, _tokens=Tokens(token))
        return other

    async def call(
        self,
        method: Callable[..., Awaitable[Any]],
        request: Message,
        *,
        deadline: float = _DEADLINE_SECONDS,
        repeatable: bool | None = None,
    ) -> Any:
        """Call a stub's method and return its response; raises ChatkitError.

        What fails in passing is repeated within `deadline` seconds, if the contract says that the method may be
        repeated (`repeatable` overrules it). A call that was turned away for its rate is repeated in any case.
        """
        may_repeat = _is_repeatable(request.DESCRIPTOR) if repeatable is None else repeatable
        end = self._clock.monotonic() + deadline
        backoff = Backoff()
        while True:
            try:
                return await self._attempt(method, request, end - self._clock.monotonic())
            except ChatkitError as error:
                if not (error.is_turned_away or (may_repeat and error.is_passing)):
                    raise
                if error.is_turned_away:
                    self.turned_away[error.reason] += 1
                delay = backoff.next_delay(error.retry_after)
                if self._clock.monotonic() + delay >= end:
                    raise
            await self._clock.sleep(delay)

    def subscribe(
        self, room_id: str, start: position_pb2.Position | int | None = None, *, include_cursors: bool = False
    ) -> Subscription:
        """Follow a room after a position, or from the last so many messages; without either the server chooses."""
        return Subscription(
            room_id,
            start,
            include_cursors=include_cursors,
            stream=self.messages.SubscribeRoom,
            log=self.log,
            tokens=self._tokens,
            clock=self._clock,
        )

    def subscribe_rooms(
        self,
        rooms: Mapping[str, position_pb2.Position | int | None] | None = None,
        *,
        user_id: str = "",
        default_last: int | None = None,
        follow_memberships: bool = False,
        include_cursors: bool = False,
        include_read_states: bool = False,
    ) -> RoomsSubscription:
        """Follow rooms on one stream, each after a position, or from its last so many messages (None: default_last).

        With `follow_memberships` also those of which the user is, or becomes, a member.
        """
        return RoomsSubscription(
            rooms or {},
            user_id=user_id,
            default_last=default_last,
            follow_memberships=follow_memberships,
            include_cursors=include_cursors,
            include_read_states=include_read_states,
            stream=self.messages.SubscribeRooms,
            log=self.log,
            tokens=self._tokens,
            clock=self._clock,
        )

    async def log(
        self, room_id: str, after: position_pb2.Position, before_seq: int
    ) -> AsyncGenerator[room_event_pb2.RoomEvent, None]:
        """Yield the events of the room's log between two seqs, both exclusive; what is gone is left out.

        A server of the time before there were edits has no such pages: its log is its messages.
        """
        request = messages_service_pb2.ListRoomEventsRequest(room_id=room_id, after=after, page_size=_PAGE_SIZE)
        more = after.seq + 1 < before_seq
        while more:
            try:
                page = await self.call(self.messages.ListRoomEvents, request)
            except ChatkitError as error:
                if error.code is grpc.StatusCode.UNIMPLEMENTED:
                    async for message in self.history(room_id, after.seq, before_seq):
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

    async def history(self, room_id: str, after_seq: int, before_seq: int) -> AsyncGenerator[message_pb2.Message, None]:
        """Yield the room's messages between two seqs, both exclusive, from older to newer."""
        more = True
        while more and after_seq + 1 < before_seq:
            page = await self.call(
                self.messages.ListMessages,
                messages_service_pb2.ListMessagesRequest(
                    room_id=room_id,
                    direction=messages_service_pb2.DIRECTION_NEWER,
                    from_seq=after_seq,
                    page_size=min(_PAGE_SIZE, before_seq - after_seq - 1),
                ),
            )
            for message in page.messages:
                if message.seq >= before_seq:
                    return
                yield message
                after_seq = message.seq
            more = bool(page.next_page_token)

    async def close(self) -> None:
        """Close the connection, and with it every call and stream."""
        await self._channel.close(None)

    async def _attempt(self, method: Callable[..., Awaitable[Any]], request: Message, remaining: float) -> Any:
        token = await self._tokens.current()
        try:
            return await self._once(method, request, token, remaining)
        except ChatkitError as error:
            if error.reason != "TOKEN_EXPIRED" or not self._tokens.can_renew:
                raise
        return await self._once(method, request, await self._tokens.renewed(token), remaining)

    async def _once(self, method: Callable[..., Awaitable[Any]], request: Message, token: str, remaining: float) -> Any:
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            return await method(request, metadata=metadata, timeout=max(0.001, min(_ATTEMPT_SECONDS, remaining)))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _creation(message: message_pb2.Message) -> room_event_pb2.RoomEvent:
    return room_event_pb2.RoomEvent(
        room_id=message.room_id, seq=message.seq, time=message.create_time, message_created=message
    )


@cache
def _is_repeatable(request: Descriptor) -> bool:
    """Tell what the contract says of the method that takes this request."""
    for service in request.file.services_by_name.values():
        for method in service.methods:
            if method.input_type is request:
                options: Any = method.GetOptions()
                return bool(options.Extensions[method_policy_pb2.method].repeatable)
    return False
