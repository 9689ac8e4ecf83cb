"""The servicers of all services through grpcio-testing: requests to the domain and back, behind composed handlers."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import room_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.messages.log import Appended
from services.messages.model import Draft as MessageDraft
from services.messages.model import LogEntry, Start
from services.messages.servicer import MessagesServicer
from services.rooms.access_servicer import AccessServicer
from services.rooms.feed import News
from services.rooms.model import Change, ChangeKind, Room, RoomView, Visibility
from services.rooms.servicer import MembershipsServicer, RoomsServicer
from services.runtime.contract import Limits
from services.runtime.errors import InvalidArgument, PermissionDenied, Unauthenticated
from services.runtime.handlers import Handlers
from services.runtime.paging import PageTokens
from services.users.model import Draft, PageStart, User
from services.users.servicer import DirectoryServicer, UsersServicer
from tests.messages.peers import uid_of
from tests.servicers.conftest import Doorkeeper
from tests.support.adapter import TestedServicer
from tests.support.tokens import service, su, user

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def _user(user_id: str) -> User:
    return User(uid_of(user_id), user_id, user_id.title(), "", {"n": 1}, _TIME, _TIME)


class _Users:
    """The use cases of users, from a dict."""

    def __init__(self) -> None:
        self.known = {name: _user(name) for name in ("alice", "bob", "carol")}

    async def create(self, drafts: Sequence[Draft]) -> list[User]:
        return [_user(draft.id) for draft in drafts]

    async def get(self, user_id: str) -> User:
        return self.known[user_id]

    async def find(self, user_ids: Sequence[str]) -> list[User]:
        return [self.known[user_id] for user_id in user_ids if user_id in self.known]

    async def page(self, start: PageStart, size: int) -> list[User]:
        after = start.after[1] if start.after else ""
        return [one for one in self.known.values() if one.id > after][:size]

    async def update(self, user_id: str, changes: dict[str, Any]) -> User:
        return User(uid_of(user_id), user_id, changes.get("name", "?"), "", None, _TIME, _TIME)


def _tested(pb2: Any, name: str, servicer: object, handlers: Handlers) -> TestedServicer:
    return TestedServicer(pb2.DESCRIPTOR.services_by_name[name], servicer, handlers)


def test_users(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    servicer = UsersServicer(cast("Any", _Users()), page_tokens, limits)
    tested = _tested(users_pb2, "UsersService", servicer, handlers)
    got = tested.call("GetUser", users_pb2.GetUserRequest(user_id="bob"), user("alice")).user
    assert (got.id, got.name, got.custom_data["n"]) == ("bob", "Bob", 1)
    assert got.create_time.ToDatetime(UTC) == _TIME
    created = tested.call("CreateUser", users_pb2.CreateUserRequest(id="dan", name="Dan"), su())
    assert created.user.id == "dan"
    with pytest.raises(PermissionDenied, match="su"):
        tested.call("CreateUser", users_pb2.CreateUserRequest(id="dan", name="Dan"), user("alice"))
    first = tested.call("ListUsers", users_pb2.ListUsersRequest(page_size=2), su())
    rest = users_pb2.ListUsersRequest(page_size=2, page_token=first.next_page_token)
    assert [one.id for one in tested.call("ListUsers", rest, su()).users] == ["carol"]
    changed = tested.call("UpdateUser", users_pb2.UpdateUserRequest(name="New"), user("alice"))
    assert (changed.user.id, changed.user.name) == ("alice", "New")
    with pytest.raises(Unauthenticated):
        tested.call("GetUser", users_pb2.GetUserRequest(user_id="bob"))


def test_the_directory(handlers: Handlers) -> None:
    tested = _tested(directory_pb2, "DirectoryService", DirectoryServicer(cast("Any", _Users())), handlers)
    request = directory_pb2.ResolveUsersRequest(user_ids=["bob", "nobody"])
    (resolved,) = tested.call("ResolveUsers", request, service("rooms", "tested")).users
    assert (resolved.id, UUID(bytes=resolved.uid)) == ("bob", uid_of("bob"))
    with pytest.raises(PermissionDenied):
        tested.call("ResolveUsers", request, user("alice"))


def _view(room_id: str, *members: str) -> RoomView:
    room = Room(uid_of(room_id), room_id, "Name", Visibility.PRIVATE, None, "alice", len(members), 3, _TIME, _TIME)
    return RoomView(room, members)


class _Rooms:
    """The use cases of rooms, which note what they are asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def create(self, **asked: Any) -> RoomView:
        self.asked.append(asked)
        return _view(asked["room_id"], "alice", *asked["user_ids"])

    async def get(self, _grant: object, *, with_members: bool) -> RoomView:
        return _view("lobby", *(["alice"] if with_members else []))

    async def page_of_user(self, _user_id: str, after: str, size: int) -> list[RoomView]:
        return [_view(room_id, "alice") for room_id in ("a", "b", "c") if room_id > after][:size]

    async def update(self, _grant: object, changes: dict[str, Any], etag: str) -> Room:
        self.asked.append((changes, etag))
        return _view("lobby").room

    async def add_members(self, _grant: object, user_ids: Sequence[str], _seconds: float) -> None:
        self.asked.append(("add", list(user_ids)))

    async def remove_members(self, _grant: object, user_ids: Sequence[str]) -> None:
        self.asked.append(("remove", list(user_ids)))

    async def member_page(self, _grant: object, after: str, size: int) -> list[str]:
        return [name for name in ("alice", "bob") if name > after][:size]

    async def join(self, room_id: str, user_id: str, *, superuser: bool, seconds: float) -> RoomView:
        self.asked.append(("join", user_id, superuser, seconds > 0))
        return _view(room_id, user_id)

    async def leave(self, room_id: str, user_id: str) -> None:
        self.asked.append(("leave", room_id, user_id))


def test_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    tested = _tested(rooms_pb2, "RoomsService", RoomsServicer(cast("Any", rooms), page_tokens, limits), handlers)
    created = tested.call("CreateRoom", rooms_pb2.CreateRoomRequest(id="r", name="R", user_ids=["bob"]), user("alice"))
    assert (created.room.etag, created.room.visibility) == ("3", room_pb2.VISIBILITY_PRIVATE)
    assert list(created.membership.user_ids) == ["alice", "bob"]
    assert (rooms.asked[0]["creator_id"], rooms.asked[0]["visibility"]) == ("alice", Visibility.PUBLIC)
    got = tested.call("GetRoom", rooms_pb2.GetRoomRequest(room_id="lobby"), user("alice"))
    assert list(got.membership.user_ids) == ["alice"]
    first = tested.call("ListUserRooms", rooms_pb2.ListUserRoomsRequest(page_size=2), user("alice"))
    rest = rooms_pb2.ListUserRoomsRequest(page_size=2, page_token=first.next_page_token)
    assert [room.id for room in tested.call("ListUserRooms", rest, user("alice")).rooms] == ["c"]
    tested.call("UpdateRoom", rooms_pb2.UpdateRoomRequest(room_id="lobby", name="N", etag="2"), user("alice"))
    assert rooms.asked[-1] == ({"name": "N"}, "2")
    with pytest.raises(PermissionDenied):
        tested.call("UpdateRoom", rooms_pb2.UpdateRoomRequest(room_id="lobby", name="N"), user("bob"))


def test_memberships(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    servicer = MembershipsServicer(cast("Any", rooms), cast("Any", rooms), page_tokens, limits)
    tested = _tested(memberships_pb2, "MembershipsService", servicer, handlers)
    added = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=["bob"])
    tested.call("AddMembers", added, user("alice"))
    removed = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"])
    tested.call("RemoveMembers", removed, user("alice"))
    joined = tested.call("JoinRoom", memberships_pb2.JoinRoomRequest(room_id="x"), user("bob"))
    assert list(joined.membership.user_ids) == ["bob"]
    tested.call("LeaveRoom", memberships_pb2.LeaveRoomRequest(room_id="x"), user("bob"))
    assert rooms.asked == [
        ("add", ["bob"]),
        ("remove", ["bob"]),
        ("join", "bob", False, True),
        ("leave", "x", "bob"),
    ]
    listed = tested.call("ListMembers", memberships_pb2.ListMembersRequest(room_id="lobby", page_size=1), user("alice"))
    assert list(listed.user_ids) == ["alice"]
    assert listed.next_page_token


class _Feed:
    """A feed of three pieces of news."""

    async def follow(self, after: int) -> AsyncIterator[News]:
        yield News(after, is_reset=True)
        yield News(after)
        yield News(after + 1, [Change(after + 1, ChangeKind.MEMBER_REMOVED, uid_of("lobby"), uid_of("bob"))])


def test_access(handlers: Handlers) -> None:
    servicer = AccessServicer(cast("Any", Doorkeeper()), cast("Any", _Feed()))
    tested = _tested(access_pb2, "AccessService", servicer, handlers)
    metadata = service("messages", "tested")
    request = access_pb2.CheckAccessRequest(
        room_id="lobby", user_id="alice", membership=method_policy_pb2.MEMBERSHIP_REQUIRED
    )
    answer = tested.call("CheckAccess", request, metadata)
    assert (UUID(bytes=answer.room_uid), UUID(bytes=answer.user_uid)) == (uid_of("lobby"), uid_of("alice"))
    request.user_id = "bob"
    with pytest.raises(PermissionDenied):
        tested.call("CheckAccess", request, metadata)
    watched = tested.stream("WatchAccess", access_pb2.WatchAccessRequest(after_version=4), metadata)
    events = [event for frame in watched for event in frame.events]
    assert [(event.version, event.WhichOneof("event")) for event in events] == [
        (4, "reset"),
        (4, "heartbeat"),
        (5, "member_removed"),
    ]


class _Messages:
    """The use cases of messages, from one message."""

    def __init__(self) -> None:
        self.drafts: list[MessageDraft] = []
        self.starts: list[Start] = []
        self.message = message_pb2.Message(room_id="lobby", seq=1, sender_id="alice").SerializeToString()

    async def send(self, draft: MessageDraft, _seconds: float) -> Appended:
        self.drafts.append(draft)
        return Appended(LogEntry(1, _TIME, self.message), is_new=True)

    async def get(self, _room_id: str, _room_uid: UUID, _seq: int) -> bytes:
        return self.message

    async def page(self, _room_uid: UUID, start: int, size: int, *, newer: bool) -> list[tuple[int, bytes]]:
        seqs = [seq for seq in (1, 2, 3) if (seq > start if newer else seq < start)]
        return [(seq, message_pb2.Message(seq=seq).SerializeToString()) for seq in (seqs if newer else seqs[::-1])][
            :size
        ]

    async def subscribe(self, _query: object, _grant: object, _caller: object, start: Start) -> AsyncIterator[bytes]:
        self.starts.append(start)
        frame = messages_pb2.SubscribeRoomResponse()
        frame.events.add().caught_up.seq = 1
        yield frame.SerializeToString()


def test_messages(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    messages = _Messages()
    users = SimpleNamespace(uid_of=None)
    servicer = MessagesServicer(cast("Any", messages), cast("Any", users), page_tokens, limits)
    tested = _tested(messages_pb2, "MessagesService", servicer, handlers)
    part = part_pb2.Part(content_type="text/plain", content="x")
    request = messages_pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id="1")
    assert tested.call("SendMessage", request, user("alice")).message.seq == 1
    (draft,) = messages.drafts
    assert (draft.room_uid, draft.sender_uid, draft.request_id) == (uid_of("lobby"), uid_of("alice"), "1")
    with pytest.raises(PermissionDenied):
        tested.call("SendMessage", request, user("bob"))
    with pytest.raises(InvalidArgument, match="parts"):
        tested.call("SendMessage", messages_pb2.SendMessageRequest(room_id="lobby", request_id="1"), user("alice"))
    got = tested.call("GetMessage", messages_pb2.GetMessageRequest(room_id="lobby", seq=1), user("alice"))
    assert got.message.sender_id == "alice"
    older = messages_pb2.ListMessagesRequest(room_id="lobby", page_size=2)
    page = tested.call("ListMessages", older, user("alice"))
    assert [message.seq for message in page.messages] == [3, 2]
    older.page_token = page.next_page_token
    assert [message.seq for message in tested.call("ListMessages", older, user("alice")).messages] == [1]
    (frame,) = tested.stream("SubscribeRoom", messages_pb2.SubscribeRoomRequest(room_id="lobby", last=7), user("alice"))
    assert frame.events[0].caught_up.seq == 1
    assert messages.starts == [Start(None, 7)]
