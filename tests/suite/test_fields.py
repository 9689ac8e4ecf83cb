"""Every field that a request sets is stored, and shown by everything that shows what it belongs to.

The fields are read from the contract, so a new one fails here until it comes back everywhere.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.rooms.v1 import room_pb2, user_event_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import user_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.messages.chat import Reader
from tests.rooms.user_streams.reading import reading
from tests.support import uploads
from tests.support.sending import sending
from tests.support.suite import Suite
from tests.support.tokens import su, user

# Fields of a request that say what is to be done, and not what is to be stored.
INSTRUCTIONS: dict[type[Message], set[str]] = {
    users_pb2.UpdateUserRequest: {"user_id", "update_mask"},
    rooms_pb2.CreateRoomRequest: {"user_ids", "request_id"},
    rooms_pb2.UpdateRoomRequest: {"room_id", "update_mask", "etag"},
    files_pb2.CreateFileRequest: {"request_id"},
    messages_pb2.EditMessageRequest: {"request_id"},
}
# Fields that the stored thing calls otherwise.
CALLED: dict[type[Message], dict[str, str]] = {files_pb2.CreateFileRequest: {"user_id": "owner_id"}}
# What must have a form of its own. Everything else is made from the field's name.
FORMS: dict[str, Any] = {
    "avatar_url": "https://example.com/{}.png",
    "creator_id": "alice",
    "content_type": "image/png",
    "id": "{}",
    "parts": [{"contentType": "text/plain", "content": "{}"}, {"contentType": "a/b", "url": "https://example.com/{}"}],
    "retention_days": 30,
    "room_id": "lobby",
    "sender_id": "alice",
    "seq": "1",
    "size_bytes": len(b"content"),
    "user_id": "alice",
}


_Request = TypeVar("_Request", bound=Message)


def _written(form: Any, word: str) -> Any:
    match form:
        case str():
            return form.format(word)
        case list():
            return [_written(item, word) for item in form]
        case dict():
            return {name: _written(item, word) for name, item in form.items()}
    return form


def _value(field: Any, word: str) -> Any:
    if field.name in FORMS:
        return _written(FORMS[field.name], word)
    if field.enum_type is not None:
        return field.enum_type.values[-1].name
    if field.message_type is not None:
        return {"said": f"{field.name} {word}"}
    return 7 if field.type in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64} else f"{field.name} {word}"


def filled(kind: type[_Request], word: str, **instructions: Any) -> _Request:
    """Return a request with something in each field that is to be stored, and with instructions."""
    stored = [field for field in kind.DESCRIPTOR.fields if field.name not in INSTRUCTIONS.get(kind, set())]
    said = {field.name: _value(field, word) for field in stored}
    return ParseDict({**said, **instructions}, kind())


def _differing(request: Message, thing: Message) -> list[str]:
    """List the fields of a request that a thing does not show as they were set."""
    kind = type(request)
    differing = []
    for field in kind.DESCRIPTOR.fields:
        if field.name in INSTRUCTIONS.get(kind, set()):
            continue
        name = CALLED.get(kind, {}).get(field.name, field.name)
        if name not in thing.DESCRIPTOR.fields_by_name or getattr(thing, name) != getattr(request, field.name):
            differing.append(field.name)
    return differing


def _all_shown(request: Message, shown: Mapping[str, Message]) -> None:
    assert {where: _differing(request, thing) for where, thing in shown.items()} == {where: [] for where in shown}


def test_a_field_that_is_not_shown_is_found() -> None:
    request = filled(users_pb2.CreateUserRequest, "x")
    shown = user_pb2.User(id=request.id, name="other", avatar_url=request.avatar_url)
    assert _differing(request, shown) == ["name", "custom_data"]
    # What the thing has no field for is found, too.
    assert _differing(filled(rooms_pb2.CreateRoomRequest, "x"), user_pb2.User(id="x")) == [
        field.name
        for field in rooms_pb2.CreateRoomRequest.DESCRIPTOR.fields
        if field.name not in {"id", "user_ids", "request_id"}
    ]


async def _users(suite: Suite, user_id: str) -> dict[str, user_pb2.User]:
    stub = suite.users
    listed = (await stub.ListUsers(users_pb2.ListUsersRequest(), metadata=su())).users
    batch = await stub.BatchGetUsers(users_pb2.BatchGetUsersRequest(user_ids=[user_id]), metadata=su())
    async with reading(suite, user_id) as reader:
        opened = (await reader.next()).opened.user
    return {
        "GetUser": (await stub.GetUser(users_pb2.GetUserRequest(user_id=user_id), metadata=su())).user,
        "BatchGetUsers": batch.users[0],
        "ListUsers": next(one for one in listed if one.id == user_id),
        "SubscribeUser": opened,
    }


async def test_what_a_user_is_given_comes_back_everywhere(suite: Suite) -> None:
    create = filled(users_pb2.CreateUserRequest, "one")
    created = (await suite.users.CreateUser(create, metadata=su())).user
    _all_shown(create, {"CreateUser": created, **await _users(suite, "one")})
    batch = filled(users_pb2.CreateUserRequest, "two")
    request = users_pb2.BatchCreateUsersRequest(requests=[batch])
    (created,) = (await suite.users.BatchCreateUsers(request, metadata=su())).users
    _all_shown(batch, {"BatchCreateUsers": created, **await _users(suite, "two")})
    update = filled(users_pb2.UpdateUserRequest, "three", user_id="one")
    async with reading(suite, "one") as reader:
        await reader.until("caught_up")
        updated = (await suite.users.UpdateUser(update, metadata=su())).user
        event = (await reader.until("user_updated"))[-1].user_updated
    _all_shown(update, {"UpdateUser": updated, "user_updated": event, **await _users(suite, "one")})


async def _rooms(suite: Suite, room_id: str) -> dict[str, room_pb2.Room]:
    stub = suite.rooms
    listed = (await stub.ListRooms(rooms_pb2.ListRoomsRequest(include_private=True), metadata=su())).rooms
    own = (await stub.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=user("alice"))).rooms
    async with reading(suite, "alice") as reader:
        shown = [event.room.room for event in await reader.until("caught_up") if event.HasField("room")]
    return {
        "GetRoom": (await stub.GetRoom(rooms_pb2.GetRoomRequest(room_id=room_id), metadata=su())).room,
        "ListRooms": next(one for one in listed if one.id == room_id),
        "ListUserRooms": next(one for one in own if one.id == room_id),
        "SubscribeUser": next(one for one in shown if one.id == room_id),
    }


async def test_what_a_room_is_given_comes_back_everywhere(suite: Suite) -> None:
    await suite.make_users("alice", "bob")
    async with reading(suite, "alice") as reader:
        await reader.until("caught_up")
        create = filled(rooms_pb2.CreateRoomRequest, "one", user_ids=["bob"], request_id="r")
        created = (await suite.rooms.CreateRoom(create, metadata=su())).room
        joined: user_event_pb2.UserEvent = (await reader.until("added_to_room"))[-1]
        shown = {"CreateRoom": created, "added_to_room": joined.added_to_room.room}
        _all_shown(create, {**shown, **await _rooms(suite, "one")})
        update = filled(rooms_pb2.UpdateRoomRequest, "two", room_id="one", visibility="VISIBILITY_PUBLIC")
        updated = (await suite.rooms.UpdateRoom(update, metadata=su())).room
        event = (await reader.until("room_updated"))[-1].room_updated
    _all_shown(update, {"UpdateRoom": updated, "room_updated": event, **await _rooms(suite, "one")})


async def test_what_a_file_is_given_comes_back_everywhere(suite: Suite) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    sha256 = hashlib.sha256(b"content").hexdigest()
    create = filled(files_pb2.CreateFileRequest, "one", request_id="f", sha256=sha256)
    created = (await suite.files.CreateFile(create, metadata=user("alice"))).file
    uploaded = await uploads.upload(suite.files, created.id, [b"content"], user("alice"))
    get = files_pb2.GetFileRequest(room_id="lobby", file_id=created.id)
    listed = await suite.files.ListFiles(files_pb2.ListFilesRequest(room_id="lobby"), metadata=user("alice"))
    shown = {
        "CreateFile": created,
        "UploadFile": uploaded,
        "GetFile": (await suite.files.GetFile(get, metadata=user("alice"))).file,
        "ListFiles": listed.files[0],
    }
    _all_shown(create, shown)


async def _messages(suite: Suite) -> dict[str, message_pb2.Message]:
    stub, alice = suite.messages, user("alice")
    get = messages_pb2.GetMessageRequest(room_id="lobby", seq=1)
    listed = await stub.ListMessages(messages_pb2.ListMessagesRequest(room_id="lobby"), metadata=alice)
    batch = messages_pb2.BatchGetMessagesRequest(room_id="lobby", seqs=[1])
    states = await suite.read_states.ListReadStates(read_states_pb2.ListReadStatesRequest(), metadata=alice)
    request = messages_pb2.SubscribeRoomRequest(room_id="lobby", last=1)
    call = stub.SubscribeRoom(request, metadata=alice)
    events = await Reader(call).until("caught_up")
    call.cancel()
    last = next(event for event in events if event.seq)
    return {
        "GetMessage": (await stub.GetMessage(get, metadata=alice)).message,
        "BatchGetMessages": (await stub.BatchGetMessages(batch, metadata=alice)).messages[0],
        "ListMessages": listed.messages[0],
        "ListReadStates": states.read_states[0].last_message,
        "SubscribeRoom": getattr(last, str(last.WhichOneof("event"))),
    }


async def test_what_a_message_is_given_comes_back_everywhere(suite: Suite) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    send = filled(messages_pb2.SendMessageRequest, "one")
    sent = (await suite.messages.SendMessage(send, metadata=su())).message
    _all_shown(send, {"SendMessage": sent, **await _messages(suite)})
    edit = filled(messages_pb2.EditMessageRequest, "two", request_id="e")
    edited = (await suite.messages.EditMessage(edit, metadata=su())).message
    _all_shown(edit, {"EditMessage": edited, **await _messages(suite)})
    events = await suite.messages.ListRoomEvents(messages_pb2.ListRoomEventsRequest(room_id="lobby"), metadata=su())
    _all_shown(edit, {"ListRoomEvents": events.events[-1].message_edited})
    on_a_stream = filled(messages_pb2.SendMessageRequest, "two", request_id="s")
    async with sending(suite.messages, su()) as sender:
        await sender.send(on_a_stream)
        (streamed,) = await sender.messages([1])
    get = messages_pb2.GetMessageRequest(room_id="lobby", seq=streamed.seq)
    stored = (await suite.messages.GetMessage(get, metadata=su())).message
    _all_shown(on_a_stream, {"SendMessages": streamed, "GetMessage": stored})


def test_the_parts_that_are_sent_are_of_every_kind() -> None:
    kinds = {name for part in FORMS["parts"] for name in part}
    # A file's part needs a file: tests/messages/attachments are about it.
    assert {field.name for field in part_pb2.Part.DESCRIPTOR.oneofs_by_name["value"].fields} <= kinds | {"file_id"}
