"""The servicers of all services through grpcio-testing: requests to the domain and back, behind composed handlers."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2, room_pb2, user_position_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_event_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.messages.attachments.service import Attachments
from services.messages.log.outcomes import Appended
from services.messages.log.store import LogStretch
from services.messages.model import Deletion, Edit, Head, LogEntry, MessageChange, MessagePage, Position, Start
from services.messages.model import Draft as MessageDraft
from services.messages.servicer import MessagesServicer
from services.rooms.access.servicer import AccessServicer
from services.rooms.model import (
    AssignedRole,
    Change,
    ChangeKind,
    Permissions,
    Role,
    RoleScope,
    Room,
    RoomOfUser,
    RoomView,
    Visibility,
)
from services.rooms.model import Draft as RoomDraft
from services.rooms.quotas import Actor
from services.rooms.roles.servicer import RolesServicer
from services.rooms.servicer import MembershipsServicer, RoomsServicer
from services.rooms.user_streams.position import UserPosition
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.paging import PageTokens
from services.runtime.contract.errors import ChatkitError, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from services.runtime.contract.policies import Limits
from services.runtime.data.change_feed import FeedUpdate
from services.runtime.deadline import Deadline
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserId
from services.users.directory_servicer import DirectoryServicer
from services.users.model import Change as UserChange
from services.users.model import ChangeKind as UserChangeKind
from services.users.model import Draft, PageStart, User
from services.users.presence.service import PresenceRequest
from services.users.presence.servicer import PresenceServicer
from services.users.servicer import UsersServicer
from tests.servicers.conftest import Doorkeeper
from tests.support.adapter import TestedServicer
from tests.support.peers import room_uid_of, uid_of, user_uid_of
from tests.support.tokens import service, su, user

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def _user(user_id: str) -> User:
    return User(
        uid=user_uid_of(user_id),
        id=user_id,
        name=user_id.title(),
        avatar_url="",
        custom_data={"n": 1},
        create_time=_TIME,
        update_time=_TIME,
    )


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
        return User(
            uid=user_uid_of(user_id),
            id=user_id,
            name=changes.get("name", "?"),
            avatar_url="",
            custom_data=None,
            create_time=_TIME,
            update_time=_TIME,
        )


def test_users(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    nobody = cast("Any", None)
    servicer = UsersServicer(cast("Any", _Users()), nobody, nobody, nobody, page_tokens, limits)
    tested = TestedServicer(servicer, handlers)
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
    tested = TestedServicer(DirectoryServicer(cast("Any", _Users()), cast("Any", _UserFeed())), handlers)
    request = directory_pb2.ResolveUsersRequest(user_ids=["bob", "nobody"])
    (resolved,) = tested.call("ResolveUsers", request, service("rooms", "tested")).users
    assert (resolved.id, UUID(bytes=resolved.uid)) == ("bob", uid_of("bob"))
    with pytest.raises(PermissionDenied):
        tested.call("ResolveUsers", request, user("alice"))
    assert (resolved.HasField("user"), resolved.name, resolved.avatar_url) == (False, "", "")
    request.with_users = True
    (resolved,) = tested.call("ResolveUsers", request, service("rooms", "tested")).users
    assert (resolved.user.name, resolved.name) == ("Bob", "")
    names = directory_pb2.ResolveUsersRequest(user_ids=["bob"], with_names=True)
    (resolved,) = tested.call("ResolveUsers", names, service("rooms", "tested")).users
    assert (resolved.HasField("user"), resolved.name) == (False, "Bob")
    frames = tested.stream("WatchUsers", directory_pb2.WatchUsersRequest(after_version=4), service("rooms", "tested"))
    told = [(event.version, str(event.WhichOneof("event"))) for frame in frames for event in frame.events]
    assert told == [(4, "reset"), (4, "heartbeat"), (7, "user_updated")]


class _PresenceStreams:
    """The use cases of presence: one frame that says what was wished for, and the end."""

    async def subscribe(
        self, wanted: PresenceRequest, caller: Caller, query: AccessQuery | None, on_end: Any
    ) -> AsyncIterator[bytes]:
        on_end(lambda _: None)
        told = presence_event_pb2.Presence(
            user_id=wanted.user_id, state="PRESENCE_STATE_ONLINE" if wanted.online else None
        )
        yield _presence_frame(told)
        for user_id in wanted.watched:
            yield _presence_frame(presence_event_pb2.Presence(user_id=user_id))
        assert (query is None) == caller.superuser


def _presence_frame(presence: presence_event_pb2.Presence) -> bytes:
    event = presence_event_pb2.PresenceEvent(presence=presence)
    return presence_pb2.SubscribePresenceResponse(events=[event]).SerializeToString()


def test_presence(handlers: Handlers) -> None:
    tested = TestedServicer(PresenceServicer(cast("Any", _PresenceStreams())), handlers)
    request = presence_pb2.SubscribePresenceRequest(online=True, watch_user_ids=["bob", "carol", "bob"])
    for named, metadata, acting in (("", user("alice"), "alice"), ("dan", su(), "dan")):
        request.user_id = named
        frames = tested.stream("SubscribePresence", request, metadata)
        events = [event.presence for frame in frames for event in frame.events]
        assert [presence.user_id for presence in events] == [acting, "bob", "carol"]
        assert events[0].state == presence_event_pb2.PRESENCE_STATE_ONLINE
    with pytest.raises(PermissionDenied):
        tested.stream("SubscribePresence", request, user("alice"))
    many = presence_pb2.SubscribePresenceRequest(watch_user_ids=[f"u{number}" for number in range(1_001)])
    with pytest.raises(InvalidArgument, match="watch_user_ids"):
        tested.stream("SubscribePresence", many, user("alice"))


class _UserFeed:
    """A feed of one of each kind."""

    async def follow(self, after: int, _epoch: object = None) -> AsyncIterator[FeedUpdate[UserChange]]:
        bob = user_uid_of("bob")
        yield FeedUpdate(after, is_reset=True)
        yield FeedUpdate(after)
        unknown = UserChange(version=after + 1, kind=UserChangeKind.UNKNOWN, user_uid=bob, user_id="bob")
        online = UserChange(version=after + 1, kind=UserChangeKind.USER_ONLINE, user_uid=bob, user_id="bob")
        yield FeedUpdate(after + 1, [unknown, online])
        updated = [
            UserChange(version=after + number, kind=UserChangeKind.USER_UPDATED, user_uid=bob, user_id="bob")
            for number in (2, 3)
        ]
        yield FeedUpdate(after + 3, updated)


def _view(room_id: str, *members: str) -> RoomView:
    room = Room(
        uid=room_uid_of(room_id),
        id=RoomId(room_id),
        name="Name",
        visibility=Visibility.PRIVATE,
        custom_data=None,
        creator_id=UserId("alice"),
        member_count=len(members),
        revision=3,
        create_time=_TIME,
        update_time=_TIME,
    )
    return RoomView(room, members)


class _Rooms:
    """The use cases of rooms, which note what they are asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def new_uid(self) -> RoomUid:
        return room_uid_of("r")

    async def create(
        self, draft: RoomDraft, user_ids: Sequence[str], _deadline: Deadline, *, superuser: bool
    ) -> RoomView:
        assert not superuser
        self.asked.append(draft)
        return _view(draft.id, "alice", *user_ids)

    async def get(self, _grant: object) -> RoomView:
        return _view("lobby", "alice")

    async def direct(self, user_id: str, other_user_id: str, deadline: Deadline, *, superuser: bool) -> RoomView:
        self.asked.append(("direct", user_id, other_user_id, deadline.left() > 0, superuser))
        view = _view("d", user_id, other_user_id)
        pair = sorted(view.member_ids)
        return RoomView(replace(view.room, direct_user_ids=pair, push_notification_title_override=""), pair)

    async def page(self, after: str, size: int, *, with_private: bool) -> list[Room]:
        self.asked.append(("page", after, size, with_private))
        return [_view(room_id).room for room_id in ("a", "b", "c") if room_id > after][:size]

    async def joinable_page(self, user_id: str, after: str, size: int) -> list[RoomView]:
        self.asked.append(("joinable", user_id, after, size))
        return [_view(room_id, "carol") for room_id in ("a", "b", "c") if room_id > after][:size]

    async def must_exist(self, user_id: str, deadline: Deadline) -> None:
        self.asked.append(("exists", user_id, deadline.left() > 0))

    async def page_of_user(self, _user_id: str, after: str, size: int) -> list[RoomView]:
        return [_view(room_id, "alice") for room_id in ("a", "b", "c") if room_id > after][:size]

    async def update(self, _grant: object, changes: dict[str, Any], etag: str) -> Room:
        self.asked.append((changes, etag))
        return _view("lobby").room

    async def add_members(self, _grant: object, user_ids: Sequence[str], actor: Actor, _deadline: Deadline) -> None:
        self.asked.append(("add", list(user_ids), actor))

    async def remove_members(self, _grant: object, user_ids: Sequence[str]) -> None:
        self.asked.append(("remove", list(user_ids)))

    async def member_page(self, _grant: object, after: str, size: int) -> list[str]:
        return [name for name in ("alice", "bob") if name > after][:size]

    async def join(self, room_id: str, user_id: str, *, superuser: bool, deadline: Deadline) -> RoomView:
        self.asked.append(("join", user_id, superuser, deadline.left() > 0))
        return _view(room_id, user_id)

    async def leave(self, room_id: str, user_id: str) -> None:
        self.asked.append(("leave", room_id, user_id))


def _tested(
    rooms: _Rooms, handlers: Handlers, page_tokens: PageTokens, limits: Limits, **others: object
) -> TestedServicer:
    openings, nobody = cast("Any", others.get("openings")), cast("Any", None)
    access = cast("Any", others.get("access"))
    servicer = RoomsServicer(cast("Any", rooms), access, nobody, nobody, openings, page_tokens, limits)
    return TestedServicer(servicer, handlers)


def test_ones_permissions(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    async def permissions(room_id: str, user_id: str, *, superuser: bool) -> Permissions:
        return Permissions({"b", "a", room_id, user_id}, is_member=not superuser)

    access = SimpleNamespace(permissions=permissions)
    tested = _tested(_Rooms(), handlers, page_tokens, limits, access=access)
    request = rooms_pb2.GetMyPermissionsRequest(room_id="lobby")
    answer = tested.call("GetMyPermissions", request, user("alice"))
    assert (list(answer.permissions), answer.is_member) == (["a", "alice", "b", "lobby"], True)


def test_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    tested = _tested(rooms, handlers, page_tokens, limits)
    created = tested.call(
        "CreateRoom",
        rooms_pb2.CreateRoomRequest(id="r", name="R", user_ids=["bob"], visibility="VISIBILITY_PUBLIC"),
        user("alice"),
    )
    assert (created.room.etag, created.room.visibility) == ("3", room_pb2.VISIBILITY_PRIVATE)
    assert list(created.membership.user_ids) == ["alice", "bob"]
    assert (rooms.asked[0].creator_id, rooms.asked[0].visibility) == ("alice", Visibility.PUBLIC)
    got = tested.call("GetRoom", rooms_pb2.GetRoomRequest(room_id="lobby"), user("alice"))
    assert list(got.membership.user_ids) == ["alice"]
    first = tested.call("ListUserRooms", rooms_pb2.ListUserRoomsRequest(page_size=2), user("alice"))
    rest = rooms_pb2.ListUserRoomsRequest(page_size=2, page_token=first.next_page_token)
    assert [room.id for room in tested.call("ListUserRooms", rest, user("alice")).rooms] == ["c"]
    tested.call("UpdateRoom", rooms_pb2.UpdateRoomRequest(room_id="lobby", name="N", etag="2"), user("alice"))
    assert rooms.asked[-1] == ({"name": "N"}, "2")
    with pytest.raises(PermissionDenied):
        tested.call("UpdateRoom", rooms_pb2.UpdateRoomRequest(room_id="lobby", name="N"), user("bob"))


class _Openings:
    """The use case of SubscribeUser, which tells who asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def subscribe(
        self, user_id: str, after: UserPosition | None, query: AccessQuery | None, caller: Caller, _on_end: object
    ) -> AsyncIterator[bytes]:
        self.asked.append((user_id, after, query.permission if query is not None else "", caller.subject))
        frame = rooms_pb2.SubscribeUserResponse()
        frame.events.add().caught_up.room_count = 3
        yield frame.SerializeToString()


def test_the_stream_of_a_user(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    openings = _Openings()
    tested = _tested(_Rooms(), handlers, page_tokens, limits, openings=openings)
    (frame,) = tested.stream("SubscribeUser", rooms_pb2.SubscribeUserRequest(), user("bob"))
    assert frame.events[0].caught_up.room_count == 3
    after = user_position_pb2.UserPosition(rooms_epoch="r", rooms_version=1, users_epoch="u", users_version=2)
    other = rooms_pb2.SubscribeUserRequest(user_id="alice", after=after)
    tested.stream("SubscribeUser", other, su())
    assert openings.asked == [
        ("bob", None, "user:rooms:get", "bob"),
        ("alice", UserPosition("r", 1, "u", 2), "", None),
    ]
    with pytest.raises(PermissionDenied):
        tested.stream("SubscribeUser", other, user("bob"))


def test_titles_of_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    tested = _tested(rooms, handlers, page_tokens, limits)
    field = "push_notification_title_override"
    for title in (None, "", "T"):
        request = rooms_pb2.CreateRoomRequest(
            id="r", name="R", push_notification_title_override=title, visibility="VISIBILITY_PUBLIC"
        )
        answer = tested.call("CreateRoom", request, user("alice"))
        assert getattr(rooms.asked[-1], field) == title
        assert not answer.room.HasField(field)
        updated = rooms_pb2.UpdateRoomRequest(room_id="lobby", push_notification_title_override=title)
        tested.call("UpdateRoom", updated, user("alice"))
        assert rooms.asked[-1] == ({} if title is None else {field: title}, "")
        updated.update_mask.paths.append(field)
        tested.call("UpdateRoom", updated, user("alice"))
        assert rooms.asked[-1] == ({field: title}, "")


def test_direct_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    tested = _tested(rooms, handlers, page_tokens, limits)
    request = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="alice")
    answer = tested.call("GetOrCreateDirectRoom", request, user("bob"))
    assert list(answer.room.direct_user_ids) == list(answer.membership.user_ids) == ["alice", "bob"]
    assert answer.room.HasField("push_notification_title_override")
    request.user_id = "carol"
    tested.call("GetOrCreateDirectRoom", request, su())
    assert rooms.asked == [("direct", "bob", "alice", True, False), ("direct", "carol", "alice", True, True)]
    with pytest.raises(PermissionDenied):
        tested.call("GetOrCreateDirectRoom", request, user("bob"))


def test_listings_of_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    tested = _tested(rooms, handlers, page_tokens, limits)
    listed = rooms_pb2.ListRoomsRequest(after_room_id="a", include_private=True, page_size=1)
    first = tested.call("ListRooms", listed, su())
    listed.page_token = first.next_page_token
    last = tested.call("ListRooms", listed, su())
    assert ([room.id for room in first.rooms], [room.id for room in last.rooms]) == (["b"], ["c"])
    assert not last.next_page_token
    assert rooms.asked == [("page", "a", 2, True), ("page", "b", 2, True)]
    rooms.asked.clear()
    joinable = rooms_pb2.ListJoinableRoomsRequest(page_size=2)
    page = tested.call("ListJoinableRooms", joinable, user("alice"))
    assert [(one.room_id, list(one.user_ids)) for one in page.memberships] == [("a", ["carol"]), ("b", ["carol"])]
    joinable.page_token = page.next_page_token
    assert [room.id for room in tested.call("ListJoinableRooms", joinable, user("alice")).rooms] == ["c"]
    tested.call("ListJoinableRooms", rooms_pb2.ListJoinableRoomsRequest(user_id="bob"), su())
    assert rooms.asked == [
        ("joinable", "alice", "", 3),
        ("joinable", "alice", "b", 3),
        ("exists", "bob", True),
        ("joinable", "bob", "", 21),
    ]


def test_memberships(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    rooms = _Rooms()
    servicer = MembershipsServicer(cast("Any", rooms), cast("Any", rooms), page_tokens, limits)
    tested = TestedServicer(servicer, handlers)
    added = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=["bob"])
    tested.call("AddMembers", added, user("alice"))
    removed = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"])
    tested.call("RemoveMembers", removed, user("alice"))
    joined = tested.call("JoinRoom", memberships_pb2.JoinRoomRequest(room_id="x"), user("bob"))
    assert list(joined.membership.user_ids) == ["bob"]
    tested.call("LeaveRoom", memberships_pb2.LeaveRoomRequest(room_id="x"), user("bob"))
    assert rooms.asked == [
        ("add", ["bob"], Actor(UserId("alice"), superuser=False)),
        ("remove", ["bob"]),
        ("join", "bob", False, True),
        ("leave", "x", "bob"),
    ]
    listed = tested.call("ListMembers", memberships_pb2.ListMembersRequest(room_id="lobby", page_size=1), user("alice"))
    assert list(listed.user_ids) == ["alice"]
    assert listed.next_page_token


class _Roles:
    """The use cases of roles, which note what they are asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.roles = [
            Role(scope, name, ["file:get"]) for scope in (RoleScope.GLOBAL, RoleScope.ROOM) for name in ("a", "b")
        ]

    async def create(self, scope: RoleScope, name: str, permissions: Sequence[str]) -> Role:
        return Role(scope, name, permissions)

    async def get(self, scope: RoleScope, name: str) -> Role:
        return next(role for role in self.roles if (role.scope, role.name) == (scope, name))

    async def page(self, scope: RoleScope | None, after: tuple[int, str], size: int) -> list[Role]:
        return [role for role in self.roles if (role.scope, role.name) > after and scope in {None, role.scope}][:size]

    async def update(self, scope: RoleScope, name: str, add: Sequence[str], remove: Sequence[str]) -> Role:
        self.asked.append(("update", scope, name, list(add), list(remove)))
        return Role(scope, name, add)

    async def delete(self, scope: RoleScope, name: str) -> None:
        self.asked.append(("delete", scope, name))

    async def assign(self, user_id: str, name: str, room_id: str, deadline: Deadline) -> AssignedRole:
        self.asked.append(("assign", user_id, name, room_id, deadline.left() > 0))
        return AssignedRole(Role(RoleScope.ROOM, name, ["file:get"]), RoomId(room_id))

    async def unassign(self, user_id: str, room_id: str) -> None:
        self.asked.append(("unassign", user_id, room_id))

    async def page_of_user(self, user_id: str, after: str | None, size: int, deadline: Deadline) -> list[AssignedRole]:
        self.asked.append(("list", user_id, after, deadline.left() > 0))
        held = [AssignedRole(Role(RoleScope.GLOBAL, "default", []), NO_ROOM)]
        held += [
            AssignedRole(Role(RoleScope.ROOM, "b", ["file:get"]), RoomId(room_id)) for room_id in ("attic", "lobby")
        ]
        return [role for role in held if after is None or role.room_id > after][:size]


def test_roles(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    roles = _Roles()
    tested = TestedServicer(RolesServicer(cast("Any", roles), page_tokens, limits), handlers)
    everywhere, there = role_pb2.ROLE_SCOPE_GLOBAL, role_pb2.ROLE_SCOPE_ROOM
    created = roles_pb2.CreateRoleRequest(scope=there, name="n", permissions=["file:get"])
    assert tested.call("CreateRole", created, su()).role == role_pb2.Role(
        scope=there, name="n", permissions=["file:get"]
    )
    with pytest.raises(PermissionDenied, match="su"):
        tested.call("CreateRole", created, user("alice"))
    with pytest.raises(InvalidArgument, match="scope"):
        tested.call("CreateRole", roles_pb2.CreateRoleRequest(name="n"), su())
    got = tested.call("GetRole", roles_pb2.GetRoleRequest(scope=everywhere, name="b"), su()).role
    assert (got.scope, got.name, list(got.permissions)) == (everywhere, "b", ["file:get"])
    listed = roles_pb2.ListRolesRequest(page_size=3)
    first = tested.call("ListRoles", listed, su())
    assert [(role.scope, role.name) for role in first.roles] == [(everywhere, "a"), (everywhere, "b"), (there, "a")]
    listed.page_token = first.next_page_token
    assert [role.name for role in tested.call("ListRoles", listed, su()).roles] == ["b"]
    assert [r.scope for r in tested.call("ListRoles", roles_pb2.ListRolesRequest(scope=there), su()).roles] == [2, 2]
    update = roles_pb2.UpdateRoleRequest(
        scope=there, name="n", add_permissions=["file:get"], remove_permissions=["room:join"]
    )
    assert list(tested.call("UpdateRole", update, su()).role.permissions) == ["file:get"]
    tested.call("DeleteRole", roles_pb2.DeleteRoleRequest(scope=there, name="n"), su())
    assign = roles_pb2.AssignRoleRequest(user_id="bob", role_name="n", room_id="lobby")
    assigned = tested.call("AssignRole", assign, su()).assigned_role
    assert (assigned.role.name, assigned.room_id) == ("n", "lobby")
    tested.call("UnassignRole", roles_pb2.UnassignRoleRequest(user_id="bob"), su())
    held = roles_pb2.ListUserRolesRequest(user_id="bob", page_size=1)
    for expected in ("", "attic", "lobby"):
        page = tested.call("ListUserRoles", held, su())
        assert [one.room_id for one in page.assigned_roles] == [expected]
        held.page_token = page.next_page_token
    assert not held.page_token
    assert roles.asked == [
        ("update", RoleScope.ROOM, "n", ["file:get"], ["room:join"]),
        ("delete", RoleScope.ROOM, "n"),
        ("assign", "bob", "n", "lobby", True),
        ("unassign", "bob", ""),
        ("list", "bob", None, True),
        ("list", "bob", "", True),
        ("list", "bob", "attic", True),
    ]


class _Feed:
    """A feed of one of each kind."""

    async def follow(self, after: int, _epoch: object = None) -> AsyncIterator[FeedUpdate[Change]]:
        yield FeedUpdate(after, is_reset=True)
        yield FeedUpdate(after, elapsed_ms=1500)
        lobby, bob = room_uid_of("lobby"), user_uid_of("bob")
        changes = [
            Change(version=after + 1, kind=ChangeKind.MEMBER_REMOVED, room_uid=lobby, user_uid=bob),
            Change(
                version=after + 2,
                kind=ChangeKind.MEMBER_ADDED,
                room_uid=lobby,
                user_uid=bob,
                user_id=UserId("bob"),
                room_id=RoomId("lobby"),
            ),
            Change(
                version=after + 3, kind=ChangeKind.ROLE_ASSIGNED, room_uid=None, user_uid=bob, user_id=UserId("bob")
            ),
            Change(
                version=after + 4,
                kind=ChangeKind.ROLE_ASSIGNED,
                room_uid=lobby,
                user_uid=bob,
                user_id=UserId("bob"),
            ),
            Change(version=after + 5, kind=ChangeKind.ROLE_CHANGED, role=(RoleScope.ROOM, "guard")),
            Change(version=after + 6, kind=ChangeKind.ROOM_UPDATED, room_uid=lobby),
            Change(version=after + 7, kind=ChangeKind.UNKNOWN),
            Change(version=after + 8, kind=ChangeKind.ROOM_DELETED, room_uid=lobby),
        ]
        yield FeedUpdate(after + 8, changes)


class _Access(Doorkeeper):
    """Answers for many rooms too, and knows bob's rooms."""

    async def check(self, query: AccessQuery) -> AccessGrant:
        return replace(await super().check(query), roles=((1, "default"), (2, "guard")))

    async def check_rooms(self, room_ids: Sequence[str], query: AccessQuery) -> list[AccessGrant | ChatkitError]:
        answers: list[AccessGrant | ChatkitError] = []
        for room_id in room_ids:
            try:
                answers.append(await self.check(replace(query, room_id=RoomId(room_id))))
            except ChatkitError as error:
                answers.append(error)
        return answers

    async def check_users(self, user_ids: Sequence[str], permission: str) -> list[AccessGrant | ChatkitError]:
        missing = PermissionDenied("PERMISSION_MISSING", "no", metadata={"permission": permission})
        return [missing if user_id == "carol" else AccessGrant(7, None, None) for user_id in user_ids]

    async def rooms_of(self, user_id: str, permission: str, after: str, size: int) -> tuple[int, list[RoomOfUser]]:
        assert (user_id, permission) == ("bob", "room:get")
        rooms = [RoomOfUser(RoomId(room_id), room_uid_of(room_id), user_uid_of("bob")) for room_id in ("a", "b", "c")]
        return 9, [room for room in rooms if room.room_id > after][:size]


def _access(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> TestedServicer:
    servicer = AccessServicer(cast("Any", _Access()), cast("Any", _Feed()), page_tokens, limits)
    return TestedServicer(servicer, handlers)


def test_access(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    tested = _access(handlers, page_tokens, limits)
    metadata = service("messages", "tested")
    request = access_pb2.CheckAccessRequest(
        room_id="lobby", user_id="alice", membership=method_policy_pb2.MEMBERSHIP_REQUIRED
    )
    answer = tested.call("CheckAccess", request, metadata)
    assert (UUID(bytes=answer.room_uid), UUID(bytes=answer.user_uid)) == (uid_of("lobby"), uid_of("alice"))
    assert [(role.scope, role.name) for role in answer.roles] == [(1, "default"), (2, "guard")]
    request.user_id = "bob"
    with pytest.raises(PermissionDenied):
        tested.call("CheckAccess", request, metadata)
    request.user_id = ""
    with pytest.raises(InvalidArgument, match="user_id"):
        tested.call("CheckAccess", request, metadata)
    batch = access_pb2.BatchCheckAccessRequest(room_ids=["attic", "lobby"], user_id="alice")
    refused, granted = tested.call("BatchCheckAccess", batch, metadata).answers
    assert (refused.HasField("granted"), refused.refusal) == (False, error_reason_pb2.ROOM_ACCESS_DENIED)
    assert (granted.granted, granted.refusal) == (answer, 0)
    users = access_pb2.BatchCheckUsersRequest(user_ids=["carol", "alice"], permission="user:get")
    refused, granted = tested.call("BatchCheckUsers", users, metadata).answers
    assert (refused.HasField("granted"), refused.refusal) == (False, error_reason_pb2.PERMISSION_MISSING)
    assert granted.granted.version == 7
    listed = access_pb2.ListRoomsOfRequest(user_id="bob", permission="room:get", page_size=2)
    page = tested.call("ListRoomsOf", listed, metadata)
    assert [(room.room_id, UUID(bytes=room.user_uid)) for room in page.rooms] == [
        ("a", uid_of("bob")),
        ("b", uid_of("bob")),
    ]
    listed.page_token = page.next_page_token
    page = tested.call("ListRoomsOf", listed, metadata)
    assert ([room.room_id for room in page.rooms], page.version, page.next_page_token) == (["c"], 9, "")


def test_the_changes_of_access(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    tested = _access(handlers, page_tokens, limits)
    request = access_pb2.WatchAccessRequest(after_version=4)
    watched = tested.stream("WatchAccess", request, service("messages", "tested"))
    events = [event for frame in watched for event in frame.events]
    assert [(event.version, event.WhichOneof("event")) for event in events] == [
        (4, "reset"),
        (4, "heartbeat"),
        (5, "member_removed"),
        (6, "member_added"),
        (7, "role_assigned"),
        (8, "role_assigned"),
        (9, "role_changed"),
        (10, "room_updated"),
        (11, "reset"),
        (12, "room_deleted"),
    ]
    assert events[9].room_deleted == access_pb2.RoomChange(room_uid=uid_of("lobby").bytes)
    assert events[1].heartbeat.elapsed_ms == 1500
    lobby, bob = uid_of("lobby").bytes, uid_of("bob").bytes
    assert events[2].member_removed == access_pb2.MemberChange(room_uid=lobby, user_uid=bob)
    assert events[3].member_added == access_pb2.MemberChange(
        room_uid=lobby, user_uid=bob, user_id="bob", room_id="lobby"
    )
    assert events[4].role_assigned == access_pb2.RoleAssignment(user_uid=bob, user_id="bob")
    assert events[5].role_assigned == access_pb2.RoleAssignment(room_uid=lobby, user_uid=bob, user_id="bob")
    assert events[6].role_changed == access_pb2.RoleName(scope=role_pb2.ROLE_SCOPE_ROOM, name="guard")


class _Messages:
    """The use cases of messages, from one message."""

    def __init__(self) -> None:
        self.drafts: list[MessageDraft] = []
        self.changes: list[MessageChange] = []
        self.afters: list[Position | None] = []
        self.starts: list[Start] = []
        self.include_cursors: list[bool] = []
        self.around: list[tuple[object, int, int]] = []
        self.message = message_pb2.Message(room_id="lobby", seq=1, sender_id="alice").SerializeToString()

    async def send(self, draft: MessageDraft, _seconds: float) -> Appended:
        self.drafts.append(draft)
        return Appended(LogEntry.created(1, _TIME, self.message), is_new=True)

    async def change(self, change: MessageChange, _grant: object, _others: object, _seconds: float) -> Appended:
        self.changes.append(change)
        return Appended(LogEntry.created(1, _TIME, self.message), is_new=True)

    async def events(self, _room_uid: RoomUid, after: Position | None, size: int) -> tuple[LogStretch, Position]:
        self.afters.append(after)
        entries = [LogEntry.created(seq, _TIME, self.message) for seq in (4, 5, 6)]
        return LogStretch(Head(6, 4), entries[:size]), Position("epoch", 6)

    async def get(self, _room_id: str, _room_uid: RoomUid, _seq: int) -> bytes:
        return self.message

    async def get_some(self, _room_uid: RoomUid, seqs: Sequence[int]) -> list[bytes]:
        return [message_pb2.Message(seq=seq).SerializeToString() for seq in seqs if seq != 2]

    async def page(self, _room_uid: RoomUid, start: int, size: int, *, newer: bool) -> MessagePage:
        seqs = [seq for seq in (1, 2, 3) if (seq > start if newer else seq < start)]
        shown = seqs[:size] if newer else seqs[-size:]
        messages = [(seq, message_pb2.Message(seq=seq).SerializeToString()) for seq in shown]
        return MessagePage(messages, has_older=shown[:1] != [1], has_newer=shown[-1:] != [3])

    async def page_around(self, room_uid: RoomUid, seq: int, size: int) -> MessagePage:
        self.around.append((room_uid, seq, size))
        return MessagePage([(2, message_pb2.Message(seq=2).SerializeToString())], has_older=True, has_newer=True)

    async def subscribe(
        self,
        _query: object,
        _grant: object,
        _caller: object,
        start: Start,
        _on_end: object,
        *,
        includes_cursors: bool,
    ) -> AsyncIterator[bytes]:
        self.starts.append(start)
        self.include_cursors.append(includes_cursors)
        frame = messages_pb2.SubscribeRoomResponse()
        frame.events.add().caught_up.seq = 1
        yield frame.SerializeToString()


class _Batches:
    """The first message of a batch is stored, the others are refused."""

    async def send(
        self, requests: list[messages_pb2.SendMessageRequest], subject: str | None, _seconds: float
    ) -> list[bytes | ChatkitError]:
        message = message_pb2.Message(seq=1, sender_id=requests[0].sender_id or subject or "")
        refused = NotFound("ROOM_NOT_FOUND", "no room", metadata={"room_id": "r"}, retry_after=timedelta(seconds=2))
        return [message.SerializeToString(), *(refused for _ in requests[1:])]


def test_pages_of_messages(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    messages = _Messages()
    parts: Any = (messages, None, None, None, None, None, None, page_tokens, limits)
    tested = TestedServicer(MessagesServicer(*parts), handlers)
    some = messages_pb2.BatchGetMessagesRequest(room_id="lobby", seqs=[3, 2, 1])
    assert [message.seq for message in tested.call("BatchGetMessages", some, user("alice")).messages] == [3, 1]
    with pytest.raises(PermissionDenied):
        tested.call("BatchGetMessages", some, user("bob"))
    older = messages_pb2.ListMessagesRequest(room_id="lobby", page_size=2)
    page = tested.call("ListMessages", older, user("alice"))
    assert [message.seq for message in page.messages] == [3, 2]
    older.page_token = page.next_page_token
    assert [message.seq for message in tested.call("ListMessages", older, user("alice")).messages] == [1]
    around = messages_pb2.ListMessagesRequest(room_id="lobby", page_size=1, around_seq=2)
    page = tested.call("ListMessages", around, user("alice"))
    assert ([message.seq for message in page.messages], messages.around) == ([2], [(uid_of("lobby"), 2, 1)])
    for token, seq in ((page.next_page_token, 1), (page.previous_page_token, 3)):
        around.page_token = token
        assert [message.seq for message in tested.call("ListMessages", around, user("alice")).messages] == [seq]


def test_messages(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    messages = _Messages()
    users = SimpleNamespace(uid_of=None)
    shown: list[tuple[object, ...]] = []
    typing = SimpleNamespace(show=lambda *who: shown.append(who))
    attachments = Attachments(cast("Any", None), cast("Any", None))
    parts: Any = (messages, None, _Batches(), None, attachments, typing, users, page_tokens, limits)
    tested = TestedServicer(MessagesServicer(*parts), handlers)
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
    (frame,) = tested.stream("SubscribeRoom", messages_pb2.SubscribeRoomRequest(room_id="lobby", last=7), user("alice"))
    assert frame.events[0].caught_up.seq == 1
    assert messages.starts == [Start(None, 7)]
    assert messages.include_cursors == [False]
    tested.call("SendTyping", messages_pb2.SendTypingRequest(room_id="lobby"), user("alice"))
    assert shown == [("lobby", uid_of("lobby"), "alice")]
    with pytest.raises(PermissionDenied):
        tested.call("SendTyping", messages_pb2.SendTypingRequest(room_id="lobby"), user("bob"))
    edit = messages_pb2.EditMessageRequest(room_id="lobby", seq=1, parts=[part], request_id="2")
    assert tested.call("EditMessage", edit, user("alice")).message.seq == 1
    deletion = messages_pb2.DeleteMessageRequest(room_id="lobby", seq=1)
    assert tested.call("DeleteMessage", deletion, user("alice")).message.seq == 1
    parts = message_pb2.Message(parts=[part]).SerializeToString()
    assert messages.changes == [
        Edit(
            room_uid=room_uid_of("lobby"),
            room_id=RoomId("lobby"),
            seq=1,
            request_id="2",
            content_hash=draft.content_hash,
            parts=parts,
            custom_data=None,
        ),
        Deletion(room_uid_of("lobby"), RoomId("lobby"), 1),
    ]
    log = messages_pb2.ListRoomEventsRequest(room_id="lobby", page_size=2)
    listed = tested.call("ListRoomEvents", log, user("alice"))
    assert [event.seq for event in listed.events] == [4, 5]
    assert (listed.position.epoch, listed.position.seq, listed.oldest_seq) == ("epoch", 6, 4)
    log.page_token = listed.next_page_token
    tested.call("ListRoomEvents", log, user("alice"))
    assert messages.afters == [None, Position("epoch", 5)]
    batch = messages_pb2.BatchSendMessagesRequest(requests=[request, request])
    first, second = tested.call("BatchSendMessages", batch, su("backend")).results
    assert (first.message.seq, first.message.sender_id) == (1, "backend")
    assert (second.failure.code, second.failure.retry_after.seconds) == (5, 2)
    assert second.failure.reason == error_reason_pb2.ROOM_NOT_FOUND
    assert second.failure.metadata == {"room_id": "r"}
