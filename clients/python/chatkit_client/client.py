"""A connection to the suite: its services, and subscriptions that go on by themselves.

One Client is one user. `with_token` makes another one on the same connection, for programs that act for many.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
from google.protobuf.message import Message

from chatkit_client.calls import Calls, Line
from chatkit_client.proto.files.v1 import file_pb2
from chatkit_client.proto.messages.v1 import message_pb2, messages_service_pb2, position_pb2, room_event_pb2
from chatkit_client.retry import Clock, SystemClock
from chatkit_client.sending.outcomes import Says, Sent, request
from chatkit_client.sending.sender import Sender
from chatkit_client.services import Services
from chatkit_client.session.device import SessionOptions, Wish
from chatkit_client.session.session import Session
from chatkit_client.streams.history import History
from chatkit_client.streams.room_log import Start
from chatkit_client.streams.rooms_subscription import RoomsOptions, RoomsSubscription
from chatkit_client.streams.state_subscriptions import PresenceSubscription, UserSubscription
from chatkit_client.streams.subscription import Subscription
from chatkit_client.tokens import Token
from chatkit_client.transfers import (
    DEADLINE_SECONDS,
    Content,
    Progress,
    Target,
    Transfer,
    Transfers,
    UploadOptions,
)

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Finds connections whose other end has vanished; without it a stream would be resumed on the same dead one.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)


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
    return Client(Calls(Line(channel, clock or SystemClock()), token))


class Client(Services):
    """Calls and subscriptions of one user.

    `users`, `presence`, `rooms`, `memberships`, `roles`, `messages`, `read_states` and `files` have the methods of the
    contract.
    """

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._calls = calls
        self._history = History(calls)
        self._transfers = Transfers(calls)
        self._sender = Sender(calls)

    @property
    def turned_away(self) -> Counter[str]:
        """How often calls were turned away and waited, by reason; all users of a connection count together."""
        return self._calls.line.turned_away

    def with_token(self, token: Token) -> "Client":
        """Return a client of another user on the same connection, which closes with this one."""
        return Client(Calls(self._calls.line, token))

    async def call(self, request: Message, *, deadline: float | None = None, repeatable: bool | None = None) -> Any:
        """Call the method that takes this request, and return its response; raises ChatkitError.

        The services' own methods do the same, with types. What fails in passing is repeated within `deadline` seconds
        (30 if it is None), if the contract says that the method may be repeated; `repeatable` overrules it. A call that
        was turned away for its rate is repeated in any case.
        """
        return await self._calls.call(request, deadline=deadline, repeatable=repeatable)

    def stream(self, request: Message) -> AsyncGenerator[Any, None]:
        """Yield the responses of the method that takes this request, once; raises ChatkitError."""
        return self._calls.stream(request)

    def subscribe(self, room_id: str, start: Start = None, *, include_cursors: bool = False) -> Subscription:
        """Follow a room after a position, or from the last so many messages; without either the server chooses."""
        return Subscription(room_id, start, include_cursors=include_cursors, calls=self._calls, pages=self.log)

    def subscribe_rooms(
        self, rooms: Mapping[str, Start] | None = None, **options: Unpack[RoomsOptions]
    ) -> RoomsSubscription:
        """Follow rooms on one stream, each after a position, or from its last so many messages (None: default_last)."""
        return RoomsSubscription(rooms or {}, options, calls=self._calls, pages=self.log)

    def subscribe_user(self, user_id: str = "") -> UserSubscription:
        """Follow a user's rooms and those who are in them; oneself, unless another one is named."""
        return UserSubscription(user_id, self._calls)

    def subscribe_presence(
        self, watch_user_ids: Iterable[str] = (), *, online: bool = False, user_id: str = ""
    ) -> PresenceSubscription:
        """Follow who of these users is there, and with `online` be seen there oneself as long as it is followed."""
        return PresenceSubscription(user_id, online=online, watch_user_ids=watch_user_ids, calls=self._calls)

    def session(self, **options: Unpack[SessionOptions]) -> Session:
        """Be a device: hold what the user's rooms are like, kept current by one stream.

        It begins with `async with`; nothing is waited for before `caught_up`.
        """
        return Session(Wish(**options), self._calls)

    def log(
        self, room_id: str, after: position_pb2.Position, before_seq: int
    ) -> AsyncGenerator[room_event_pb2.RoomEvent, None]:
        """Yield the events of the room's log between two seqs, both exclusive; what is gone is left out."""
        return self._history.log(room_id, after, before_seq)

    def history(self, room_id: str, after_seq: int, before_seq: int) -> AsyncGenerator[message_pb2.Message, None]:
        """Yield the room's messages between two seqs, both exclusive, from older to newer."""
        return self._history.messages(room_id, after_seq, before_seq)

    async def send(
        self, room_id: str, says: Says, *, sender_id: str | None = None, request_id: str | None = None
    ) -> message_pb2.Message:
        """Send a message, a text or parts, and return it as it is stored; raises ChatkitError.

        It is sent once, however often the connection is lost on the way, and so it is when the call is made again with
        the same request id.
        """
        return await self._sender.send(request(room_id, says, sender_id, request_id))

    def send_many(self, requests: Iterable[messages_service_pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Send many messages, and yield what became of each as it becomes known.

        Those of one room are stored in this order. One that is refused spoils no other.
        """
        return self._sender.send_many(requests)

    async def upload(self, room_id: str, content: Content, **options: Unpack[UploadOptions]) -> file_pb2.File:
        """Create a file in a room with this content, and return it when it is READY; raises ChatkitError and OSError.

        The server compares the content with its SHA-256. It goes over this connection, or `by_url` to the file's signed
        URL, which may be that of a bucket; where it breaks off, it is sent from its beginning.
        """
        return await self._transfers.upload(room_id, content, options)

    async def send_content(
        self,
        file: file_pb2.File,
        content: Content,
        *,
        user_id: str | None = None,
        url: str | None = None,
        progress: Progress | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> file_pb2.File:
        """Send the content of a file that CreateFile has answered, to its URL if it is given, as `upload` does."""
        return await self._transfers.send(file, content, Transfer(progress, deadline), user_id=user_id, url=url)

    async def download(
        self,
        room_id: str,
        file_id: str,
        target: Target,
        *,
        progress: Progress | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> file_pb2.File:
        """Write a file's content to a path or into an open file, and return the file.

        Where it breaks off it goes on where it was. At a path the content is there as a whole or not at all. Raises
        ChatkitError, with the code DATA_LOSS if what came has another SHA-256 than the file, and OSError.
        """
        return await self._transfers.download(room_id, file_id, target, Transfer(progress, deadline))

    async def close(self) -> None:
        """Close the connection, and with it every call and stream."""
        await self._calls.line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
