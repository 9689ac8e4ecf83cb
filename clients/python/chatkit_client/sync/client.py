"""The client of chatkit_client, blocking. It may be used by several threads at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
from google.protobuf.message import Message

from chatkit_client import client as asynchronous
from chatkit_client.proto.files.v1 import file_pb2
from chatkit_client.proto.messages.v1 import message_pb2, messages_service_pb2, position_pb2, room_event_pb2
from chatkit_client.retry import Clock
from chatkit_client.sending.outcomes import Says, Sent
from chatkit_client.session.device import SessionOptions
from chatkit_client.streams.room_log import Start
from chatkit_client.streams.rooms_subscription import RoomsOptions
from chatkit_client.sync.following import PresenceSubscription, RoomsSubscription, Subscription, UserSubscription
from chatkit_client.sync.loop import Iteration, Loop, shared
from chatkit_client.sync.services import Services
from chatkit_client.sync.session import Session
from chatkit_client.tokens import Token as AsyncToken
from chatkit_client.transfers import DEADLINE_SECONDS, Content, Progress, Target, UploadOptions

Token = str | Callable[[], str]


def connect(
    address: str,
    token: Token,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, int | str]] = (),
    clock: Clock | None = None,
) -> "Client":
    """Return a client of the suite at `address` (host:port); nothing is sent before the first call.

    `token` is a token, or a function that fetches one, which is called in a thread of its own. Without credentials the
    connection is not encrypted. `options` are added to gRPC's.
    """
    loop = shared()
    fetch = _fetching(token)
    make = asynchronous.connect
    client = loop.call(lambda: make(address, fetch, credentials=credentials, options=options, clock=clock))
    loop.close_at_exit(client)
    return Client(loop, client)


class Client(Services):
    """Calls and subscriptions of one user, as those of chatkit_client.Client."""

    def __init__(self, loop: Loop, client: asynchronous.Client) -> None:
        super().__init__(self)
        self._loop = loop
        self._client = client

    @property
    def turned_away(self) -> Counter[str]:
        """How often calls were turned away and waited, by reason; all users of a connection count together."""
        return self._client.turned_away

    def with_token(self, token: Token) -> "Client":
        """Return a client of another user on the same connection, which closes with this one."""
        fetch = _fetching(token)
        return Client(self._loop, self._loop.call(lambda: self._client.with_token(fetch)))

    def call(self, request: Message, *, deadline: float | None = None, repeatable: bool | None = None) -> Any:
        """Call the method that takes this request, and return its response; raises ChatkitError."""
        return self._loop.run(self._client.call(request, deadline=deadline, repeatable=repeatable))

    def stream(self, request: Message) -> Generator[Any, None, None]:
        """Yield the responses of the method that takes this request, once; raises ChatkitError."""
        with Iteration(self._loop, self._client.stream(request)) as responses:
            yield from responses

    def subscribe(self, room_id: str, start: Start = None, *, include_cursors: bool = False) -> Subscription:
        """Follow a room after a position, or from the last so many messages; without either the server chooses."""
        return Subscription(self._loop, lambda: self._client.subscribe(room_id, start, include_cursors=include_cursors))

    def subscribe_rooms(
        self, rooms: Mapping[str, Start] | None = None, **options: Unpack[RoomsOptions]
    ) -> RoomsSubscription:
        """Follow rooms on one stream, each after a position, or from its last so many messages (None: default_last)."""
        return RoomsSubscription(self._loop, lambda: self._client.subscribe_rooms(rooms, **options))

    def subscribe_user(self, user_id: str = "") -> UserSubscription:
        """Follow a user's rooms and those who are in them; oneself, unless another one is named."""
        return UserSubscription(self._loop, lambda: self._client.subscribe_user(user_id))

    def subscribe_presence(
        self, watch_user_ids: Iterable[str] = (), *, online: bool = False, user_id: str = ""
    ) -> PresenceSubscription:
        """Follow who of these users is there, and with `online` be seen there oneself as long as it is followed."""
        return PresenceSubscription(
            self._loop, lambda: self._client.subscribe_presence(watch_user_ids, online=online, user_id=user_id)
        )

    def session(self, **options: Unpack[SessionOptions]) -> Session:
        """Be a device: hold what the user's rooms are like, kept current by one stream.

        It begins with `with`; nothing is waited for before `caught_up`.
        """
        return Session(self._loop, self._loop.call(lambda: self._client.session(**options)))

    def log(self, room_id: str, after: position_pb2.Position, before_seq: int) -> Iterator[room_event_pb2.RoomEvent]:
        """Yield the events of the room's log between two seqs, both exclusive; what is gone is left out."""
        return iter(Iteration(self._loop, self._client.log(room_id, after, before_seq)))

    def history(self, room_id: str, after_seq: int, before_seq: int) -> Iterator[message_pb2.Message]:
        """Yield the room's messages between two seqs, both exclusive, from older to newer."""
        return iter(Iteration(self._loop, self._client.history(room_id, after_seq, before_seq)))

    def send(
        self, room_id: str, says: Says, *, sender_id: str | None = None, request_id: str | None = None
    ) -> message_pb2.Message:
        """Send a message, a text or parts, once, and return it as it is stored; raises ChatkitError."""
        return self._loop.run(self._client.send(room_id, says, sender_id=sender_id, request_id=request_id))

    def send_many(self, requests: Iterable[messages_service_pb2.SendMessageRequest]) -> Iterator[Sent]:
        """Send many messages, and yield what became of each as it becomes known.

        Those of one room are stored in this order. One that is refused spoils no other.
        """
        return iter(Iteration(self._loop, self._client.send_many(list(requests))))

    def upload(self, room_id: str, content: Content, **options: Unpack[UploadOptions]) -> file_pb2.File:
        """Create a file in a room with this content, and return it when it is READY; raises ChatkitError and OSError.

        `progress` is called in the client's thread.
        """
        return self._loop.run(self._client.upload(room_id, content, **options))

    def send_content(
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
        sending = self._client.send_content(
            file, content, user_id=user_id, url=url, progress=progress, deadline=deadline
        )
        return self._loop.run(sending)

    def download(
        self,
        room_id: str,
        file_id: str,
        target: Target,
        *,
        progress: Progress | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> file_pb2.File:
        """Write a file's content to a path or into an open file, and return the file; raises ChatkitError and OSError.

        At a path the content is there as a whole or not at all.
        """
        return self._loop.run(self._client.download(room_id, file_id, target, progress=progress, deadline=deadline))

    def close(self) -> None:
        """Close the connection, and with it every call and stream."""
        self._loop.run(self._client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fetching(token: Token) -> AsyncToken:
    if isinstance(token, str):
        return token

    async def fetch() -> str:
        return await asyncio.to_thread(token)

    return fetch
