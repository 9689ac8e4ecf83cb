"""What is said again after its file has gone, or while files is away, is answered as text that is said again."""

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import message_pb2, send_result_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from google.protobuf.message import Message

from tests.messages.attachments.attaching import (
    add,
    as_sent_by,
    batch,
    edit,
    forget_attaching,
    furnished,
    send,
    with_file,
)
from tests.messages.chat import text
from tests.messages.retention.sweeping import grow_old, oldest_seq
from tests.support.eventually import eventually, until
from tests.support.refusals import check, refused
from tests.support.suite import Suite
from tests.support.tokens import su, user


@pytest.fixture
async def chat(suite: Suite) -> Suite:
    """Run the suite with two users in a room."""
    return await furnished(suite)


async def delete_message(chat: Suite, seq: int) -> message_pb2.Message:
    """Delete a message and return what is left of it."""
    request = pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
    deleted: pb2.DeleteMessageResponse = await chat.messages.DeleteMessage(request, metadata=su())
    return deleted.message


async def remove_file(chat: Suite, file_id: str) -> None:
    """Remove a file that no message has any more."""
    await forget_attaching(chat)
    request = files_pb2.DeleteFileRequest(room_id="lobby", file_id=file_id)
    await chat.files.DeleteFile(request, metadata=user("alice"))


def without_place(message: Message) -> str:
    """Return what can be the same in two messages of one room."""
    return "".join(line for line in str(message).splitlines() if not line.startswith(("seq", "revision", "  ")))


def reason(result: send_result_pb2.SendResult) -> str:
    """Return why an item of a batch was refused."""
    return error_reason_pb2.ErrorReason.Name(result.failure.reason)


async def test_a_send_repeated_after_its_message_and_file_have_gone_answers_as_one_of_text_does(chat: Suite) -> None:
    file = await add(chat)
    said = await send(chat, text("look", "text"))
    sent = await send(chat, with_file(file.id))
    await delete_message(chat, said.seq)
    left = await delete_message(chat, sent.seq)
    await remove_file(chat, file.id)
    assert await send(chat, with_file(file.id)) == left
    assert without_place(await send(chat, text("look", "text"))) == without_place(left)
    assert chat.database.count("messages.messages") == 2


async def test_a_send_repeated_after_an_edit_has_freed_its_file_answers_the_message_as_it_is(chat: Suite) -> None:
    file = await add(chat)
    sent = await send(chat, with_file(file.id))
    edited = await edit(chat, sent.seq, *text("never mind", "").parts)
    await remove_file(chat, file.id)
    assert await send(chat, with_file(file.id)) == edited


async def test_a_request_id_says_that_it_was_used_for_something_else_although_the_file_has_gone(chat: Suite) -> None:
    file, other = await add(chat), await add(chat, "other")
    sent = await send(chat, with_file(other.id))
    await remove_file(chat, file.id)
    await refused(send(chat, with_file(file.id)), "REQUEST_ID_REUSED")
    await refused(send(chat, with_file("no file at all")), "REQUEST_ID_REUSED")
    await refused(edit(chat, sent.seq, *with_file(file.id).parts), "FILE_NOT_FOUND")
    # What another has sent with the id is not a repetition, and neither is what another room has.
    await refused(send(chat, with_file(file.id), "bob"), "FILE_NOT_FOUND")
    elsewhere = with_file(other.id)
    elsewhere.room_id = "attic"
    await refused(send(chat, elsewhere), "FILE_NOT_FOUND")
    await refused(send(chat, with_file(file.id, "new")), "FILE_NOT_FOUND")


async def test_an_edit_repeated_after_its_file_has_gone_answers_as_one_of_text_does(chat: Suite) -> None:
    file, other = await add(chat), await add(chat, "other")
    sent, said = await send(chat, text("look", "send")), await send(chat, text("look", "text"))
    added = [*with_file(file.id).parts]
    await edit(chat, sent.seq, *added, request_id="add")
    last = await edit(chat, sent.seq, *text("never mind", "").parts)
    await remove_file(chat, file.id)
    assert await edit(chat, sent.seq, *added, request_id="add") == last
    await refused(edit(chat, sent.seq, *with_file("other").parts, request_id="add"), "REQUEST_ID_REUSED")
    await refused(edit(chat, sent.seq, *added), "FILE_NOT_FOUND")
    await refused(edit(chat, sent.seq, *added, request_id="new"), "FILE_NOT_FOUND")
    await edit(chat, said.seq, *text("said", "").parts, request_id="said")
    left, left_of_text = await delete_message(chat, sent.seq), await delete_message(chat, said.seq)
    assert await edit(chat, sent.seq, *added, request_id="add") == left
    assert await edit(chat, said.seq, *text("said", "").parts, request_id="said") == left_of_text
    for parts in (added, with_file(other.id).parts, text("new", "").parts):
        await refused(edit(chat, sent.seq, *parts, request_id="new"), "MESSAGE_NOT_FOUND")
    assert chat.database.count("messages.events") == 5


async def test_of_a_batch_that_is_repeated_each_message_answers_for_itself(chat: Suite) -> None:
    gone, kept = await add(chat), await add(chat, "kept")
    requests = [
        as_sent_by("alice", with_file(gone.id, "gone")),
        as_sent_by("alice", with_file(kept.id, "kept")),
        as_sent_by("alice", text("hello", "text")),
    ]
    first = await batch(chat, requests)
    left = await delete_message(chat, first[0].message.seq)
    await remove_file(chat, gone.id)
    requests += [
        as_sent_by("alice", with_file(gone.id, "kept")),
        as_sent_by("alice", with_file(gone.id, "new")),
        as_sent_by("alice", with_file(gone.id, "gone")),
        as_sent_by("bob", with_file(gone.id, "gone")),
        as_sent_by("nobody", with_file(gone.id, "gone")),
    ]
    results = await batch(chat, requests)
    assert [result.message for result in results[:3]] == [left, first[1].message, first[2].message]
    assert results[5].message == left
    others = [results[number] for number in (3, 4, 6, 7)]
    refusals = ["REQUEST_ID_REUSED", "FILE_NOT_FOUND", "FILE_NOT_FOUND", "USER_NOT_FOUND"]
    assert [reason(result) for result in others] == refusals
    assert chat.database.count("messages.messages") == 3


async def test_while_files_is_away_what_was_stored_before_is_answered_and_nothing_else(chat: Suite) -> None:
    file = await add(chat)
    sent = await send(chat, with_file(file.id))
    other = await send(chat, text("look", "text"))
    edited = await edit(chat, other.seq, *with_file(file.id).parts, request_id="edit")
    await chat.stop("files")
    assert await send(chat, with_file(file.id)) == sent
    assert await edit(chat, other.seq, *with_file(file.id).parts, request_id="edit") == edited
    # It is what the message says already.
    assert await edit(chat, other.seq, *with_file(file.id).parts) == edited
    again = [as_sent_by("alice", with_file(file.id)), as_sent_by("alice", with_file(file.id, "new"))]
    stored, refusal = await batch(chat, again)
    assert (stored.message, reason(refusal)) == (sent, "SERVICE_UNAVAILABLE")
    for call in (send(chat, with_file(file.id, "new")), edit(chat, sent.seq, *with_file(file.id).parts[1:])):
        await refused(call, "SERVICE_UNAVAILABLE")


async def test_a_repetition_by_somebody_who_may_not_act_any_more_is_refused_as_text_is(chat: Suite) -> None:
    file = await add(chat)
    sent, said = await send(chat, with_file(file.id)), await send(chat, text("look", "text"))
    edits = [(sent.seq, with_file(file.id).parts[1:]), (said.seq, text("said", "").parts)]
    for seq, parts in edits:
        await edit(chat, seq, *parts, request_id="edit")
        await delete_message(chat, seq)
    await remove_file(chat, file.id)
    leave = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["alice"])
    await chat.memberships.RemoveMembers(leave, metadata=su())

    async def is_out() -> bool:
        try:
            await send(chat, text("look", "text"))
        except grpc.aio.AioRpcError as error:
            return bool(check(error, "ROOM_ACCESS_DENIED"))
        return False

    await until(is_out)
    await refused(send(chat, with_file(file.id)), "ROOM_ACCESS_DENIED")
    for seq, parts in edits:
        await refused(edit(chat, seq, *parts, request_id="edit"), "ROOM_ACCESS_DENIED")
    # A superuser repeats it for her all the same.
    again = as_sent_by("alice", with_file(file.id))
    assert (await chat.messages.SendMessage(again, metadata=su())).message.seq == sent.seq
    for seq, parts in edits:
        assert (await edit(chat, seq, *parts, request_id="edit", who=su())).seq == seq


async def test_when_retention_has_swept_a_message_its_request_id_stands_for_nothing(chat: Suite) -> None:
    file = await add(chat)
    sent = await send(chat, with_file(file.id))
    await edit(chat, sent.seq, *text("said", "").parts, request_id="edit")
    await remove_file(chat, file.id)
    settings = {"retention_days": 30, "retention_sweep_interval_seconds": 0.02}
    await chat.restart("messages", **settings)
    with psycopg.connect(chat.database.superuser_dsn) as connection:
        (room_uid,) = connection.execute("SELECT room_uid FROM messages.heads").fetchall()[0]
    grow_old(chat.database, 99, room_uid=room_uid)
    await eventually(lambda: oldest_seq(chat.database, room_uid) == 3)
    await refused(send(chat, with_file(file.id)), "FILE_NOT_FOUND")
    await refused(edit(chat, sent.seq, *with_file(file.id).parts, request_id="edit"), "MESSAGE_NOT_FOUND")
    assert (await send(chat, text("said", "send"))).seq == 3
