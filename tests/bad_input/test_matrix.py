"""Bad input gets its code and reason, and nothing is stored."""

from datetime import timedelta

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import struct_pb2

from services.runtime.identity.api_keys import API_ISSUER
from tests.support import tokens
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import bearer, forged, su, user

_FAMILY = "👨‍👩‍👧‍👦"  # seven code points
_TABLES = ("users.users", "rooms.rooms", "rooms.memberships", "rooms.creations", "messages.messages")
_SEND = "/chatkit.messages.v1.MessagesService/SendMessage"


@pytest.fixture
async def stored(suite: Suite) -> Suite:
    """Run the suite with alice and bob in a room, and carol in none."""
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("lobby", "alice", "bob")
    return suite


def _counts(suite: Suite) -> dict[str, int]:
    return {table: suite.database.count(table) for table in _TABLES}


def _send(content: str = "x", **changes: object) -> messages_pb2.SendMessageRequest:
    part = part_pb2.Part(content_type="text/plain", content=content)
    request = messages_pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id="1")
    for name, value in changes.items():
        setattr(request, name, value)
    return request


async def test_tokens_that_are_none(stored: Suite) -> None:
    before = _counts(stored)
    expired = tokens.token("alice", ttl=timedelta(seconds=-1))
    bad = {
        expired: "TOKEN_EXPIRED",
        forged("alice", secret="another secret that is long enough for it"): "TOKEN_INVALID",
        forged("alice", instance="another instance"): "TOKEN_INVALID",
        forged("alice", algorithm="none", secret=""): "TOKEN_INVALID",
        forged("alice", iss=API_ISSUER + "unknown"): "TOKEN_INVALID",
        forged("alice", exp=None): "TOKEN_INVALID",
        forged("alice", su="yes"): "TOKEN_INVALID",
        forged("a\nb"): "TOKEN_INVALID",
        forged("a" * 161): "TOKEN_INVALID",
        "not a token": "TOKEN_INVALID",
        "x" * 9_000: "TOKEN_INVALID",
    }
    await refused(stored.messages.SendMessage(_send()), "TOKEN_MISSING")
    await refused(stored.messages.SendMessage(_send(), metadata=(("authorization", "Basic x"),)), "TOKEN_INVALID")
    for text, reason in bad.items():
        await refused(stored.messages.SendMessage(_send(), metadata=bearer(text)), reason)
    service = tokens.service("rooms", "messages")
    await refused(stored.messages.SendMessage(_send(), metadata=service), "TOKEN_INVALID")
    assert _counts(stored) == before


async def test_an_outsider_can_do_nothing_anywhere(stored: Suite) -> None:
    await stored.make_room("secret", "alice", private=True)
    before = _counts(stored)
    for room_id in ("lobby", "secret", "unknown"):
        listed = messages_pb2.ListMessagesRequest(room_id=room_id)
        subscribed = messages_pb2.SubscribeRoomRequest(room_id=room_id)
        added = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=["carol"])
        members = memberships_pb2.ListMembersRequest(room_id=room_id)
        metadata = user("carol")
        for call in (
            stored.messages.SendMessage(_send(room_id=room_id), metadata=metadata),
            stored.messages.ListMessages(listed, metadata=metadata),
            stored.messages.SubscribeRoom(subscribed, metadata=metadata).read(),
            stored.memberships.AddMembers(added, metadata=metadata),
            stored.memberships.ListMembers(members, metadata=metadata),
        ):
            assert (await refused(call, "ROOM_ACCESS_DENIED")).metadata == {"room_id": room_id}
    assert _counts(stored) == before


async def test_messages_that_are_too_much_or_too_little(stored: Suite) -> None:
    before = _counts(stored)
    metadata = user("alice")
    empty = messages_pb2.SendMessageRequest(room_id="lobby", request_id="1")
    await refused(stored.messages.SendMessage(empty, metadata=metadata), "FIELD_REQUIRED")
    await refused(stored.messages.SendMessage(_send(request_id=""), metadata=metadata), "FIELD_REQUIRED")
    over = await refused(stored.messages.SendMessage(_send("x" * (5121 - 10)), metadata=metadata), "LIMIT_EXCEEDED")
    assert (over.metadata["limit"], over.metadata["actual"]) == ("MESSAGE_BYTES", "5121")
    eleven = _send()
    eleven.parts.extend([eleven.parts[0]] * 10)
    await refused(stored.messages.SendMessage(eleven, metadata=metadata), "LIMIT_EXCEEDED")
    assert _counts(stored) == before
    await stored.messages.SendMessage(_send("x" * (5120 - 10)), metadata=metadata)


async def test_names_are_counted_in_code_points(stored: Suite) -> None:
    before = _counts(stored)
    long = rooms_pb2.CreateRoomRequest(id="r", name="x" * 61, visibility="VISIBILITY_PUBLIC")
    await refused(stored.rooms.CreateRoom(long, metadata=user("alice")), "LIMIT_EXCEEDED")
    families = rooms_pb2.CreateRoomRequest(id="r", name=_FAMILY * 8 + "xxxxx", visibility="VISIBILITY_PUBLIC")
    refusal = await refused(stored.rooms.CreateRoom(families, metadata=user("alice")), "LIMIT_EXCEEDED")
    assert (refusal.metadata["limit"], refusal.metadata["actual"]) == ("ROOM_NAME_CHARS", "61")
    assert _counts(stored) == before
    families.name = _FAMILY * 8 + "xxxx"
    await stored.rooms.CreateRoom(families, metadata=user("alice"))


async def test_titles_of_push_notifications_are_counted_in_code_points_and_hold_all_but_u0000(stored: Suite) -> None:
    before = _counts(stored)
    bad = {"🫎" * 161: "LIMIT_EXCEEDED", "a\0": "FIELD_INVALID"}
    for title, reason in bad.items():
        created = rooms_pb2.CreateRoomRequest(
            id="r", name="r", push_notification_title_override=title, visibility="VISIBILITY_PUBLIC"
        )
        refusal = await refused(stored.rooms.CreateRoom(created, metadata=user("alice")), reason)
        assert refusal.metadata["field"] == "push_notification_title_override"
        updated = rooms_pb2.UpdateRoomRequest(room_id="lobby", push_notification_title_override=title)
        await refused(stored.rooms.UpdateRoom(updated, metadata=su()), reason)
    assert _counts(stored) == before
    for title in ("🫎" * 160, "\x01\x7f\u0085\r\n\u202e"):
        updated = rooms_pb2.UpdateRoomRequest(room_id="lobby", push_notification_title_override=title)
        room = (await stored.rooms.UpdateRoom(updated, metadata=su())).room
        assert room.push_notification_title_override == title


async def test_listings_streams_and_direct_rooms_with_bad_ids_and_sizes(stored: Suite) -> None:
    before = _counts(stored)
    for name, reason in {"x" * 161: "LIMIT_EXCEEDED", "a\nb": "FIELD_INVALID", "a\0b": "FIELD_INVALID"}.items():
        listed = rooms_pb2.ListRoomsRequest(after_room_id=name)
        joinable = rooms_pb2.ListJoinableRoomsRequest(user_id=name)
        subscribed = rooms_pb2.SubscribeUserRequest(user_id=name)
        direct = rooms_pb2.GetOrCreateDirectRoomRequest(user_id="alice", other_user_id=name)
        for call in (
            stored.rooms.ListRooms(listed, metadata=su()),
            stored.rooms.ListJoinableRooms(joinable, metadata=su()),
            stored.rooms.SubscribeUser(subscribed, metadata=su()).read(),
            stored.rooms.GetOrCreateDirectRoom(direct, metadata=su()),
        ):
            await refused(call, reason)
    small = rooms_pb2.ListRoomsRequest(page_size=-1)
    await refused(stored.rooms.ListRooms(small, metadata=su()), "FIELD_INVALID")
    fewer = rooms_pb2.ListJoinableRoomsRequest(page_size=-1)
    await refused(stored.rooms.ListJoinableRooms(fewer, metadata=user("alice")), "FIELD_INVALID")
    forged_token = rooms_pb2.ListRoomsRequest(page_token="AAAA")
    await refused(stored.rooms.ListRooms(forged_token, metadata=su()), "PAGE_TOKEN_INVALID")
    assert _counts(stored) == before


async def test_custom_data_is_counted_as_compact_json(stored: Suite) -> None:
    before = _counts(stored)
    data = struct_pb2.Struct()
    data["k"] = "é" * 2_556  # {"k":"…"} is 8 bytes around it
    request = rooms_pb2.CreateRoomRequest(id="r", name="r", custom_data=data, visibility="VISIBILITY_PUBLIC")
    await stored.rooms.CreateRoom(request, metadata=user("alice"))
    data["k"] = "é" * 2_556 + "x"
    over = rooms_pb2.CreateRoomRequest(id="s", name="s", custom_data=data, visibility="VISIBILITY_PUBLIC")
    refusal = await refused(stored.rooms.CreateRoom(over, metadata=user("alice")), "LIMIT_EXCEEDED")
    assert (refusal.metadata["limit"], refusal.metadata["actual"]) == ("CUSTOM_DATA_BYTES", "5121")
    data["k"] = float("nan")
    nan = rooms_pb2.CreateRoomRequest(id="s", name="s", custom_data=data, visibility="VISIBILITY_PUBLIC")
    await refused(stored.rooms.CreateRoom(nan, metadata=user("alice")), "FIELD_INVALID")
    assert _counts(stored) == {**before, "rooms.rooms": 2, "rooms.memberships": 3}


async def test_eleven_users_in_one_request_are_too_many(stored: Suite) -> None:
    before = _counts(stored)
    ids = [f"u{number}" for number in range(11)]
    metadata = user("alice")
    for call in (
        stored.memberships.AddMembers(
            memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=ids), metadata=metadata
        ),
        stored.memberships.RemoveMembers(
            memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=ids), metadata=metadata
        ),
        stored.rooms.CreateRoom(
            rooms_pb2.CreateRoomRequest(id="r", name="r", user_ids=ids, visibility="VISIBILITY_PUBLIC"),
            metadata=metadata,
        ),
    ):
        assert (await refused(call, "LIMIT_EXCEEDED")).metadata["limit"] == "MEMBERS_PER_REQUEST"
    assert _counts(stored) == before


async def test_ids_of_any_unicode_but_control_characters(stored: Suite) -> None:
    good = ["with space", "a/b/../c", "🫎" * 160, "%2F\\?#", "ÄÖ\u202e"]
    for name in good:
        await stored.make_users(name)
        await stored.make_room(name, name)
        sent = await stored.messages.SendMessage(_send(room_id=name), metadata=user(name))
        assert (sent.message.room_id, sent.message.sender_id) == (name, name)
    before = _counts(stored)
    bad = {"x" * 161: "LIMIT_EXCEEDED", "": "FIELD_REQUIRED", "a\nb": "FIELD_INVALID", "a\0b": "FIELD_INVALID"}
    for name, reason in bad.items():
        await refused(stored.users.CreateUser(users_pb2.CreateUserRequest(id=name, name="x"), metadata=su()), reason)
        await refused(stored.messages.SendMessage(_send(room_id=name), metadata=user("alice")), reason)
    assert _counts(stored) == before


async def test_u0000_is_refused_anywhere(stored: Suite) -> None:
    before = _counts(stored)
    data = struct_pb2.Struct()
    data["a"] = {"b": ["x\0"]}
    key = struct_pb2.Struct()
    key["a\0"] = 1
    metadata = user("alice")
    for call in (
        stored.messages.SendMessage(_send("a\0b"), metadata=metadata),
        stored.messages.SendMessage(_send(request_id="a\0"), metadata=metadata),
        stored.rooms.CreateRoom(
            rooms_pb2.CreateRoomRequest(id="r", name="a\0", visibility="VISIBILITY_PUBLIC"), metadata=metadata
        ),
        stored.rooms.CreateRoom(
            rooms_pb2.CreateRoomRequest(id="r", name="r", custom_data=data, visibility="VISIBILITY_PUBLIC"),
            metadata=metadata,
        ),
        stored.rooms.CreateRoom(
            rooms_pb2.CreateRoomRequest(id="r", name="r", custom_data=key, visibility="VISIBILITY_PUBLIC"),
            metadata=metadata,
        ),
        stored.rooms.CreateRoom(
            rooms_pb2.CreateRoomRequest(id="r", name="r", user_ids=["a\0"], visibility="VISIBILITY_PUBLIC"),
            metadata=metadata,
        ),
    ):
        await refused(call, "FIELD_INVALID")
    assert _counts(stored) == before


async def test_somebody_elses_page_token_is_refused(stored: Suite) -> None:
    for number in range(3):
        await stored.messages.SendMessage(_send(request_id=f"{number}"), metadata=user("alice"))
    request = messages_pb2.ListMessagesRequest(room_id="lobby", page_size=1)
    request.page_token = (await stored.messages.ListMessages(request, metadata=user("alice"))).next_page_token
    assert (await stored.messages.ListMessages(request, metadata=user("alice"))).messages[0].seq == 2
    await refused(stored.messages.ListMessages(request, metadata=user("bob")), "PAGE_TOKEN_INVALID")
    request.page_token = request.page_token[:-2] + "AA"
    await refused(stored.messages.ListMessages(request, metadata=user("alice")), "PAGE_TOKEN_INVALID")


async def test_bytes_that_are_no_message_are_refused(stored: Suite) -> None:
    before = _counts(stored)
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = stored.channel("messages").unary_unary(_SEND)
    whole = _send("hello").SerializeToString()
    for cut in range(1, len(whole) - 3):
        try:
            messages_pb2.SendMessageRequest.FromString(whole[:cut])
        except Exception:  # noqa: BLE001 - whatever protobuf raises, it is not the message
            await refused(call(whole[:cut], metadata=user("alice")), "REQUEST_MALFORMED")
    await refused(call(b"x" * 100_000, metadata=user("alice")), "REQUEST_TOO_LARGE")
    assert _counts(stored) == before


async def test_presence_of_bad_ids_is_refused_and_nobody_is_online_by_it(stored: Suite) -> None:
    for name, reason in {"x" * 161: "LIMIT_EXCEEDED", "a\nb": "FIELD_INVALID", "a\0b": "FIELD_INVALID"}.items():
        for request in (
            presence_pb2.SubscribePresenceRequest(user_id=name, online=True),
            presence_pb2.SubscribePresenceRequest(user_id="alice", online=True, watch_user_ids=["bob", name]),
        ):
            await refused(stored.presence.SubscribePresence(request, metadata=su()).read(), reason)
    empty = presence_pb2.SubscribePresenceRequest(user_id="alice", online=True, watch_user_ids=[""])
    await refused(stored.presence.SubscribePresence(empty, metadata=su()).read(), "USER_NOT_FOUND")
    nobody = presence_pb2.SubscribePresenceRequest(online=True)
    await refused(stored.presence.SubscribePresence(nobody, metadata=su()).read(), "SUBJECT_REQUIRED")
    assert stored.database.count("users.presences") == 0
