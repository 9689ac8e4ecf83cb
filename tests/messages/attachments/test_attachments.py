"""File parts of messages, with the real files service behind them."""

import asyncio

import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.internal.attachments.v1 import references_service_pb2 as references_pb2
from chatkit.internal.attachments.v1.references_service_pb2_grpc import ReferencesServiceStub
from chatkit.messages.v1 import attached_file_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from google.protobuf import struct_pb2

from tests.messages.attachments.attaching import (
    GIF,
    add,
    as_sent_by,
    batch,
    edit,
    forget_attaching,
    furnished,
    send,
    with_file,
)
from tests.messages.chat import Reader, text
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import service, su, user


@pytest.fixture
async def chat(suite: Suite) -> Suite:
    """Run the suite with two users in a room."""
    return await furnished(suite)


async def in_use(chat: Suite, *file_ids: str) -> list[str]:
    """Ask messages, as files does, which files are in use."""
    stub = ReferencesServiceStub(chat.channel("messages"))
    request = references_pb2.ReferencedFilesRequest(file_ids=file_ids)
    return list((await stub.ReferencedFiles(request, metadata=service("files", "messages"))).file_ids)


async def test_an_image_is_seen_by_a_subscriber_who_fetches_identical_bytes(chat: Suite) -> None:
    file = await add(chat)
    stream = chat.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob"))
    reader = Reader(stream)
    await reader.until("caught_up")
    sent = await send(chat, with_file(file.id))
    seen = (await reader.next()).message_created
    stream.cancel()
    assert seen == sent
    part = seen.parts[1]
    assert (part.content_type, part.file_id) == ("image/gif", file.id)
    assert part.file == attached_file_pb2.AttachedFile(
        id=file.id,
        name="cat.gif",
        content_type="image/gif",
        size_bytes=len(GIF),
        sha256=file.sha256,
        custom_data=struct_pb2.Value(string_value="a cat"),
    )
    assert not seen.parts[0].HasField("file")
    request = files_pb2.DownloadFileRequest(room_id="lobby", file_id=part.file.id)
    frames = [frame async for frame in chat.files.DownloadFile(request, metadata=user("bob"))]
    assert b"".join(chunk for frame in frames for chunk in frame.chunks) == GIF
    page = await chat.messages.ListMessages(pb2.ListMessagesRequest(room_id="lobby"), metadata=user("bob"))
    assert list(page.messages) == [sent]


async def test_a_send_that_is_repeated_answers_the_same_message_and_a_file_serves_many(chat: Suite) -> None:
    file, other = await add(chat), await add(chat, "other")
    first = await send(chat, with_file(file.id))
    assert await send(chat, with_file(file.id)) == first
    await refused(send(chat, with_file(other.id)), "REQUEST_ID_REUSED")
    assert (await send(chat, with_file(file.id, "again"))).seq == first.seq + 1
    twice = with_file(file.id, "twice")
    twice.parts.append(twice.parts[1])
    assert [part.file.id for part in (await send(chat, twice)).parts] == ["", file.id, file.id]


async def test_what_a_sender_says_of_a_file_is_ignored(chat: Suite) -> None:
    file = await add(chat)
    lie = attached_file_pb2.AttachedFile(id="other", name="lie", size_bytes=1)
    sent = await send(chat, with_file(file.id, file=lie))
    assert sent.parts[1].file.name == "cat.gif"
    assert await send(chat, with_file(file.id)) == sent
    only_told = text("x", "told")
    only_told.parts[0].file.CopyFrom(lie)
    assert not (await send(chat, only_told)).parts[0].HasField("file")


async def test_a_file_that_may_not_be_attached_stops_the_message(chat: Suite) -> None:
    file, of_attic = await add(chat), await add(chat, room_id="attic", request_id="attic")
    pending = files_pb2.CreateFileRequest(room_id="lobby", content_type="image/gif", size_bytes=1, request_id="pending")
    unfinished = (await chat.files.CreateFile(pending, metadata=user("alice"))).file
    await refused(send(chat, with_file(file.id), "bob"), "FILE_NOT_FOUND")
    await refused(send(chat, with_file(of_attic.id)), "FILE_NOT_FOUND")
    await refused(send(chat, with_file("../../etc/passwd")), "FILE_NOT_FOUND")
    await refused(send(chat, with_file(unfinished.id)), "FILE_NOT_READY")
    await refused(send(chat, with_file("")), "FIELD_REQUIRED")
    await refused(send(chat, with_file("x" * 161)), "LIMIT_EXCEEDED")
    assert chat.database.count("messages.messages") == 0


async def test_a_file_of_another_is_told_from_none_only_while_a_message_has_it(chat: Suite) -> None:
    file = await add(chat)
    sent = await send(chat, with_file(file.id))
    await refused(send(chat, with_file(file.id), "bob"), "FILE_OWNER_REQUIRED")
    await chat.messages.DeleteMessage(pb2.DeleteMessageRequest(room_id="lobby", seq=sent.seq), metadata=su())
    await refused(send(chat, with_file(file.id), "bob"), "FILE_NOT_FOUND")


async def test_without_files_text_flows_and_file_parts_are_unavailable(chat: Suite) -> None:
    file = await add(chat)
    sent = await send(chat, with_file(file.id))
    await chat.stop("files")
    await refused(send(chat, with_file(file.id, "later")), "SERVICE_UNAVAILABLE")
    assert (await send(chat, text("hello", "text"))).seq == sent.seq + 1
    got = await chat.messages.GetMessage(pb2.GetMessageRequest(room_id="lobby", seq=sent.seq), metadata=user("bob"))
    assert got.message.parts[1].file.name == "cat.gif"


async def test_a_file_is_in_use_as_long_as_a_message_has_it(chat: Suite) -> None:
    used, unused = await add(chat), await add(chat, "unused")
    sent = await send(chat, with_file(used.id))
    assert await in_use(chat, used.id, unused.id, "nothing") == [used.id]
    delete = files_pb2.DeleteFileRequest(room_id="lobby", file_id=used.id)
    await refused(chat.files.DeleteFile(delete, metadata=user("alice")), "FILE_IN_USE")
    gone = pb2.DeleteMessageRequest(room_id="lobby", seq=sent.seq)
    await chat.messages.DeleteMessage(gone, metadata=su())
    assert await in_use(chat, used.id) == []
    with psycopg.connect(chat.database.superuser_dsn) as connection:
        # What may be being sent is not forgotten, what never was is.
        assert connection.execute("SELECT count(*) FROM messages.attachments").fetchone() == (1,)
        connection.execute("UPDATE messages.attachments SET note_time = now() - interval '2 days'")
    assert await in_use(chat, used.id) == []
    assert chat.database.count("messages.attachments") == 0
    await forget_attaching(chat)
    await chat.files.DeleteFile(delete, metadata=user("alice"))


async def test_an_edit_adds_a_file_and_another_one_frees_it(chat: Suite) -> None:
    file, other = await add(chat), await add(chat, "other")
    stream = chat.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob"))
    reader = Reader(stream)
    await reader.until("caught_up")
    sent = await send(chat, text("look", "send"))
    assert (await reader.next()).message_created == sent
    lie = attached_file_pb2.AttachedFile(id="other", name="lie", size_bytes=1)
    edited = await edit(chat, sent.seq, *with_file(file.id, file=lie).parts, request_id="add")
    assert [part.file.name for part in edited.parts] == ["", "cat.gif"]
    assert (await reader.next()).message_edited == edited
    assert await edit(chat, sent.seq, *with_file(file.id).parts, request_id="add") == edited
    await refused(edit(chat, sent.seq, *with_file(other.id).parts, request_id="add"), "REQUEST_ID_REUSED")
    assert await edit(chat, sent.seq, *with_file(file.id).parts) == edited
    assert await in_use(chat, file.id, other.id) == [file.id]
    delete = files_pb2.DeleteFileRequest(room_id="lobby", file_id=file.id)
    await forget_attaching(chat)
    await refused(chat.files.DeleteFile(delete, metadata=user("alice")), "FILE_IN_USE")
    swapped = await edit(chat, sent.seq, *with_file(other.id).parts)
    assert (await reader.next()).message_edited == swapped
    stream.cancel()
    assert await in_use(chat, file.id, other.id) == [other.id]
    await edit(chat, sent.seq, *text("nothing", "").parts)
    assert await in_use(chat, file.id, other.id) == []
    await forget_attaching(chat)
    await chat.files.DeleteFile(delete, metadata=user("alice"))
    await refused(edit(chat, sent.seq, *with_file(file.id).parts), "FILE_NOT_FOUND")


async def test_an_edit_attaches_the_senders_files_only_whoever_edits(chat: Suite) -> None:
    file, of_bob = await add(chat), await add(chat, as_user="bob")
    sent = await send(chat, text("look", "send"))
    await refused(edit(chat, sent.seq, *with_file(of_bob.id).parts), "FILE_NOT_FOUND")
    await refused(edit(chat, sent.seq, *with_file(of_bob.id).parts, who=su("bob")), "FILE_NOT_FOUND")
    await refused(edit(chat, sent.seq + 1, *with_file(file.id).parts), "MESSAGE_NOT_FOUND")
    # Who may not change it attaches nothing, not even what is their own.
    await refused(edit(chat, sent.seq, *with_file(of_bob.id).parts, who=user("bob")), "PERMISSION_MISSING")
    assert chat.database.count("messages.attachments") == 0
    assert (await edit(chat, sent.seq, *with_file(file.id).parts, who=su())).parts[1].file.sha256 == file.sha256
    assert await in_use(chat, file.id, of_bob.id) == [file.id]
    await send(chat, with_file(of_bob.id, "bobs"), "bob")
    await refused(edit(chat, sent.seq, *with_file(of_bob.id).parts), "FILE_OWNER_REQUIRED")


async def test_a_batch_attaches_for_each_message_and_one_that_may_not_spoils_no_other(chat: Suite) -> None:
    file, unsent = await add(chat), await add(chat, "unsent")
    of_attic = await add(chat, room_id="attic", request_id="attic")
    lie = attached_file_pb2.AttachedFile(id="other", name="lie", size_bytes=1)
    requests = [
        as_sent_by("alice", with_file(file.id, "1", file=lie)),
        as_sent_by("bob", with_file(unsent.id, "2")),
        as_sent_by("bob", text("hello", "3")),
        as_sent_by("alice", with_file(of_attic.id, "4")),
        as_sent_by("alice", with_file("", "5")),
        as_sent_by("alice", with_file(file.id, "6")),
    ]
    results = await batch(chat, requests)
    reasons = [error_reason_pb2.ErrorReason.Name(result.failure.reason) for result in results]
    nothing = "ERROR_REASON_UNSPECIFIED"
    assert reasons == [nothing, "FILE_NOT_FOUND", nothing, "FILE_NOT_FOUND", "FIELD_REQUIRED", nothing]
    assert [result.message.seq for result in results] == [1, 0, 2, 0, 0, 3]
    assert [result.message.parts[1].file.name for result in (results[0], results[5])] == ["cat.gif", "cat.gif"]
    assert await in_use(chat, file.id, of_attic.id) == [file.id]
    assert list(await batch(chat, requests)) == list(results)
    assert await send(chat, with_file(file.id, "1")) == results[0].message


async def test_without_files_a_batchs_text_is_stored_and_its_file_parts_are_not(chat: Suite) -> None:
    file = await add(chat)
    await chat.stop("files")
    requests = [as_sent_by("alice", with_file(file.id, "1")), as_sent_by("alice", text("hello", "2"))]
    refusal, stored = await batch(chat, requests)
    assert refusal.failure.reason == error_reason_pb2.SERVICE_UNAVAILABLE
    assert stored.message.seq == chat.database.count("messages.messages") == 1


async def test_only_services_ask_which_files_are_in_use(chat: Suite) -> None:
    stub = ReferencesServiceStub(chat.channel("messages"))
    request = references_pb2.ReferencedFilesRequest(file_ids=["x"])
    await refused(stub.ReferencedFiles(request, metadata=user("alice")), "SERVICE_REQUIRED")


async def test_beside_a_files_of_the_release_before_file_parts_are_unavailable(chat: Suite) -> None:
    # Users knows no files either, and says so as every service does.
    await chat.restart("messages", files_address=chat.servers["users"].address)
    await refused(send(chat, with_file("x")), "SERVICE_UNAVAILABLE")
    assert (await send(chat, text("hello", "text"))).seq == 1


async def test_messages_sent_at_once_with_one_file_all_have_it(chat: Suite) -> None:
    file = await add(chat)
    sent = await asyncio.gather(*(send(chat, with_file(file.id, f"send {number}")) for number in range(20)))
    assert {message.parts[1].file.sha256 for message in sent} == {file.sha256}
    assert sorted(message.seq for message in sent) == list(range(1, 21))
