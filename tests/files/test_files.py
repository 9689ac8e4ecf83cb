"""Files over gRPC: how they are created, described, listed and deleted, and whose they are."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2
from google.protobuf import json_format, struct_pb2

from tests.files.library import PICTURE, Library, sha256, user
from tests.files.world import World
from tests.support.peers import uid_of
from tests.support.refusals import decode, refused
from tests.support.tokens import su


async def test_a_file_has_what_was_declared_and_waits_for_its_content(shelf: Library) -> None:
    shelf.clock.stop()
    created = await shelf.create(name="holiday.png", sha256=sha256(PICTURE).upper())
    file = created.file
    assert (file.room_id, file.owner_id, file.name, file.content_type) == ("lobby", "alice", "holiday.png", "image/png")
    assert (file.size_bytes, file.sha256, file.state) == (len(PICTURE), sha256(PICTURE), file_pb2.FILE_STATE_PENDING)
    assert file.download_url == ""
    assert not file.HasField("download_expire_time")
    assert created.upload_url.startswith("http://")
    assert created.upload_expire_time.seconds - file.create_time.seconds in range(3590, 3911)


async def test_a_creation_that_is_repeated_answers_the_same_file_with_a_fresh_url(shelf: Library) -> None:
    first = await shelf.create(request_id="once")
    shelf.clock.leap(7200)
    again = await shelf.create(request_id="once")
    assert again.file == first.file
    assert again.upload_expire_time.seconds > first.upload_expire_time.seconds
    await refused(shelf.create(request_id="once", name="other.png"), "REQUEST_ID_REUSED")
    assert shelf.database.count("files.files") == 1
    assert (await shelf.create(as_user="bob", request_id="once")).file.id != first.file.id


async def test_a_creation_is_the_same_in_either_case_of_its_hash(shelf: Library) -> None:
    hexed = sha256(PICTURE)
    first = (await shelf.create(request_id="once", sha256=hexed.title())).file
    for spelled in (hexed.upper(), hexed):
        assert (await shelf.create(request_id="once", sha256=spelled)).file == first
    for other in (sha256(b""), ""):
        await refused(shelf.create(request_id="once", sha256=other), "REQUEST_ID_REUSED")


async def test_a_creation_of_the_release_before_is_the_same_when_it_is_repeated(shelf: Library) -> None:
    hexed = sha256(PICTURE).upper()
    first = (await shelf.create(request_id="once", sha256=hexed)).file
    before = pb2.CreateFileRequest(
        room_id=str(uid_of("lobby")), content_type="image/png", size_bytes=len(PICTURE), sha256=hexed
    )
    kept = hashlib.sha256(before.SerializeToString(deterministic=True)).digest()
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("UPDATE files.files SET content_hash = %s", [kept])
    assert (await shelf.create(request_id="once", sha256=hexed)).file == first


async def test_a_file_becomes_ready_with_its_content_and_others_fetch_identical_bytes(shelf: Library) -> None:
    file = await shelf.add(name="p.png")
    assert (file.state, file.sha256) == (file_pb2.FILE_STATE_READY, sha256(PICTURE))
    await shelf.send(file.id)
    described = await shelf.get(file.id, "bob")
    assert described.name == "p.png"
    assert await shelf.download(file.id, "bob") == PICTURE
    assert await shelf.download(file.id, "bob", offset_bytes=70_000) == PICTURE[70_000:]
    fetched = await shelf.http.get(described.download_url)
    assert (fetched.status_code, fetched.content) == (200, PICTURE)


async def test_content_sent_in_frames_is_as_good(shelf: Library) -> None:
    file = (await shelf.create()).file
    ready = await shelf.upload(file.id, [PICTURE[:1], PICTURE[1:50_000], PICTURE[50_000:]])
    assert (ready.state, ready.sha256) == (file_pb2.FILE_STATE_READY, sha256(PICTURE))
    assert await shelf.download(file.id) == PICTURE


NAMES = (
    "file:///with/slashes and spaces.json",
    "lol ? wut ?&...json",
    "../../etc/passwd",
    "..",
    "C:\\windows\\system32",
    "日本語 🎉.png",
    'quo"te; filename="x.html',
    "%2e%2e%2f",
    "a" * 255,
)


async def test_any_printable_name_comes_back_as_it_was_and_is_no_path(shelf: Library) -> None:
    for name in NAMES:
        file = await shelf.add(b"x", name=name)
        assert (await shelf.get(file.id)).name == name
        (stored,) = shelf.stored()
        assert stored.parent.parent == shelf.folder / "blobs"
        assert stored.name.startswith(file.id.replace("-", ""))
        await shelf.delete(file.id)


async def test_without_a_name_the_server_makes_one(shelf: Library) -> None:
    made = {"image/png": "image.png", "video/mp4; codecs=x": "video.mp4", "x/y": "file", "text/x-log": "text"}
    for content_type, name in made.items():
        assert (await shelf.create(content_type=content_type)).file.name == name


VALUES: tuple[Any, ...] = (
    "a bare string",
    1.5,
    -3,
    True,
    None,
    [1, ["two", None]],
    {"a": {"b": [False, 1e300]}},
    {},
    [],
    "",
)


async def test_custom_data_is_any_json_value(shelf: Library) -> None:
    for value in VALUES:
        custom_data = json_format.ParseDict(value, struct_pb2.Value())
        created = (await shelf.create(custom_data=custom_data)).file
        assert created.HasField("custom_data")
        assert json_format.MessageToDict(created.custom_data) == value


async def test_without_custom_data_there_is_none(shelf: Library) -> None:
    assert not (await shelf.create()).file.HasField("custom_data")


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"content_type": "image"}, "FIELD_INVALID"),
    ({"content_type": "image/png\r\nx: y"}, "FIELD_INVALID"),
    ({"content_type": ""}, "FIELD_REQUIRED"),
    ({"size_bytes": -1}, "FIELD_INVALID"),
    ({"size_bytes": 5_242_881}, "LIMIT_EXCEEDED"),
    ({"sha256": "0" * 63 + "g"}, "FIELD_INVALID"),
    ({"sha256": "00"}, "FIELD_INVALID"),
    ({"name": "a\nb"}, "FIELD_INVALID"),
    ({"name": "a" * 256}, "LIMIT_EXCEEDED"),
    ({"request_id": ""}, "FIELD_REQUIRED"),
    ({"custom_data": struct_pb2.Value(string_value="x" * 5120)}, "LIMIT_EXCEEDED"),
    ({"custom_data": struct_pb2.Value(string_value="\0")}, "FIELD_INVALID"),
    ({"custom_data": struct_pb2.Value(number_value=float("nan"))}, "FIELD_INVALID"),
    ({"room_id": "attic", "user_id": "carol"}, "SUBJECT_MISMATCH"),
)


async def test_what_is_wrong_with_a_declaration_is_said(shelf: Library) -> None:
    for fields, reason in WRONG:
        await refused(shelf.create(**fields), reason)
    assert shelf.database.count("files.files") == 0


async def test_the_largest_file_is_taken(shelf: Library) -> None:
    content = bytes(5_242_880)
    file = await shelf.add(content)
    assert (await shelf.http.get(file.download_url)).content == content


async def test_what_a_user_declares_counts_for_their_storage_until_it_goes(shelf: Library) -> None:
    await shelf.suite.restart("files", limit_overrides={"STORAGE_BYTES_PER_USER": 1000})
    first = (await shelf.create(b"x" * 600)).file
    error = await refused(shelf.create(b"x" * 500), "QUOTA_EXCEEDED")
    assert error.metadata == {"limit": "STORAGE_BYTES_PER_USER", "maximum": "1000", "actual": "1100"}
    assert error.quota[0].field == "STORAGE_BYTES_PER_USER"
    await shelf.create(b"x" * 400)
    await shelf.create(b"x" * 1000, as_user="bob")
    await shelf.delete(first.id)
    await shelf.create(b"x" * 600)


async def test_files_of_another_room_and_of_nobody_are_not_found(shelf: Library) -> None:
    file = await shelf.add(room_id="attic")
    await shelf.send(file.id, room_id="attic")
    assert (await shelf.get(file.id, "carol", "attic")).id == file.id
    await refused(shelf.get(file.id, "bob", "attic"), "ROOM_ACCESS_DENIED")
    for file_id in (file.id, file.id.upper(), "nothing", "../x", "00000000-0000-0000-0000-000000000000"):
        error = await refused(shelf.get(file_id, "alice", "lobby"), "FILE_NOT_FOUND")
        assert error.metadata == {"file_id": file_id}
        await refused(shelf.upload(file_id, [PICTURE], "alice"), "FILE_NOT_FOUND")
        await refused(shelf.delete(file_id, "alice"), "FILE_NOT_FOUND")


async def test_others_are_told_of_a_file_only_while_a_message_refers_to_it(shelf: Library) -> None:
    file = await shelf.add()

    async def is_hidden() -> None:
        await refused(shelf.get(file.id, "bob"), "FILE_NOT_FOUND")
        await refused(shelf.download(file.id, "bob"), "FILE_NOT_FOUND")
        answer = await shelf.stub.ListFiles(pb2.ListFilesRequest(room_id="lobby"), metadata=user("bob"))
        assert list(answer.files) == []
        assert await shelf.download(file.id, "alice") == PICTURE

    await is_hidden()
    assert shelf.references.asked == []
    # Messages is about to store the message.
    await shelf.attach(file.id)
    await is_hidden()
    await shelf.send(file.id)
    assert (await shelf.get(file.id, "bob")).id == file.id
    assert await shelf.download(file.id, "bob") == PICTURE
    # The message was deleted.
    shelf.references.used.clear()
    await is_hidden()


async def test_nobody_is_told_of_files_of_others_while_messages_does_not_say(shelf: Library) -> None:
    file = await shelf.add()
    await shelf.send(file.id)
    await shelf.references.stop()
    await refused(shelf.get(file.id, "bob"), "SERVICE_UNAVAILABLE")
    stream = shelf.stub.ListFiles(pb2.ListFilesRequest(room_id="lobby"), metadata=user("bob"))
    await refused(stream, "SERVICE_UNAVAILABLE")
    assert (await shelf.get(file.id, "alice")).id == file.id
    assert (await shelf.http.get(file.download_url)).content == PICTURE


async def test_only_its_owner_and_superusers_see_a_file_without_content(shelf: Library) -> None:
    file = (await shelf.create()).file
    assert (await shelf.get(file.id, "alice")).state == file_pb2.FILE_STATE_PENDING
    await refused(shelf.get(file.id, "bob"), "FILE_NOT_FOUND")
    request = pb2.GetFileRequest(room_id="lobby", file_id=file.id)
    assert (await shelf.stub.GetFile(request, metadata=su())).file.id == file.id
    await refused(shelf.attach(file.id), "FILE_NOT_READY")
    stream = shelf.stub.DownloadFile(pb2.DownloadFileRequest(room_id="lobby", file_id=file.id), metadata=user("alice"))
    await refused(stream.read(), "FILE_NOT_READY")


async def test_somebody_elses_file_can_be_neither_filled_nor_deleted_nor_attached(shelf: Library) -> None:
    pending, ready = (await shelf.create()).file, await shelf.add()

    async def are_refused(file_id: str, reason: str) -> None:
        for attempt in (
            shelf.upload(file_id, [PICTURE], "bob"),
            shelf.delete(file_id, "bob"),
            shelf.attach(file_id, as_user="bob"),
        ):
            assert (await refused(attempt, reason)).metadata == {"file_id": file_id}

    for hidden in (pending, ready):
        await are_refused(hidden.id, "FILE_NOT_FOUND")
    await shelf.send(ready.id)
    await are_refused(ready.id, "FILE_OWNER_REQUIRED")
    # The message was deleted.
    shelf.references.used.clear()
    await are_refused(ready.id, "FILE_NOT_FOUND")
    shelf.clock.leap(61)
    request = pb2.DeleteFileRequest(room_id="lobby", file_id=ready.id, user_id="carol")
    await shelf.stub.DeleteFile(request, metadata=su())


async def test_a_listing_shows_what_was_sent_and_ones_own_by_page_and_superusers_everything(shelf: Library) -> None:
    ids = [(await shelf.add(as_user="alice")).id for _ in range(4)]
    own = (await shelf.add(as_user="bob")).id
    await shelf.create()
    await shelf.send(*ids[:3])

    async def listed(metadata: tuple[tuple[str, str], ...], page_size: int = 2) -> list[str]:
        found: list[str] = []
        request = pb2.ListFilesRequest(room_id="lobby", page_size=page_size)
        while True:
            answer = await shelf.stub.ListFiles(request, metadata=metadata)
            found += [file.id for file in answer.files]
            assert all(file.download_url for file in answer.files)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    assert await listed(user("bob")) == [own, *reversed(ids[:3])]
    assert await listed(user("alice")) == list(reversed(ids))
    assert await listed(su()) == [own, *reversed(ids)]
    # Messages that were deleted: with pages of one, whole pages of them are passed over.
    shelf.references.used = {ids[0]}
    for page_size in (1, 2, 3, 4):
        assert await listed(user("bob"), page_size) == [own, ids[0]]
    shelf.references.used.clear()
    for page_size in (1, 2, 3, 4):
        assert await listed(user("bob"), page_size) == [own]


async def test_a_page_looks_no_further_than_so_many_files_and_says_where_to_go_on(shelf: Library) -> None:
    ids = [(await shelf.add(as_user="alice")).id for _ in range(5)]
    await shelf.send(*ids)
    shelf.references.used = {ids[0]}
    request = pb2.ListFilesRequest(room_id="lobby", page_size=1)
    first = await shelf.stub.ListFiles(request, metadata=user("bob"))
    assert list(first.files) == []
    assert sum(map(len, shelf.references.asked)) == 3
    request.page_token = first.next_page_token
    second = await shelf.stub.ListFiles(request, metadata=user("bob"))
    assert ([file.id for file in second.files], second.next_page_token) == ([ids[0]], "")


async def test_a_deleted_file_is_gone_with_its_content_and_its_request_id_is_free(shelf: Library) -> None:
    file = await shelf.add(request_id="once")
    await shelf.delete(file.id)
    assert shelf.stored() == []
    assert shelf.database.count("files.files") == 0
    await refused(shelf.get(file.id, "alice"), "FILE_NOT_FOUND")
    assert (await shelf.http.get(file.download_url)).status_code == 404
    assert (await shelf.create(request_id="once", name="other")).file.id != file.id


async def test_a_file_in_use_is_not_deleted(shelf: Library) -> None:
    shelf.clock.stop()
    file = await shelf.add()
    await shelf.attach(file.id)
    # The message may be about to be stored.
    refusal = await refused(shelf.delete(file.id), "FILE_IN_USE")
    assert refusal.retry_after == timedelta(minutes=1)
    shelf.clock.leap(61)
    shelf.references.used.add(file.id)
    await refused(shelf.delete(file.id), "FILE_IN_USE")
    await shelf.attach(file.id)
    shelf.clock.leap(61)
    shelf.references.used.clear()
    await shelf.delete(file.id)


@pytest.mark.parametrize("is_ready", [True, False])
async def test_of_deletions_that_race_one_deletes_the_file_and_the_others_do_not_find_it(
    is_ready: bool, shelf: Library
) -> None:
    for _ in range(10):
        file = await shelf.add() if is_ready else (await shelf.create()).file
        ended = await asyncio.gather(*(shelf.delete(file.id) for _ in range(6)), return_exceptions=True)
        reasons = [decode(error).reason for error in ended if isinstance(error, grpc.aio.AioRpcError)]
        assert reasons == ["FILE_NOT_FOUND"] * 5
    assert shelf.stored() == []
    assert (shelf.database.count("files.files"), shelf.database.count("files.uploads")) == (0, 0)


@pytest.mark.parametrize("is_attached", [True, False])
async def test_a_file_that_one_deletion_lets_be_while_another_goes_on_is_removed_unless_it_was_attached(
    is_attached: bool, shelf: Library
) -> None:
    file, world = await shelf.add(), World(shelf)
    files, _ = world.files()
    found = await files.find(file.id)
    condemned = await world.store.condemn(found, timedelta(minutes=5), timedelta(minutes=1))
    assert condemned is not None
    await shelf.references.stop()
    await refused(shelf.delete(file.id), "SERVICE_UNAVAILABLE")
    if is_attached:
        await shelf.attach(file.id)
    assert await files.remove(condemned) is not is_attached
    if is_attached:
        assert await shelf.download(file.id) == PICTURE
    else:
        assert shelf.stored() == []
        await refused(shelf.get(file.id), "FILE_NOT_FOUND")
    await world.database.close()


@pytest.mark.parametrize("by", ["put", "frames"])
async def test_an_empty_file_is_a_file(by: str, shelf: Library) -> None:
    created = await shelf.create(b"")
    if by == "put":
        assert (await shelf.put(created.upload_url, b"")).status_code == 200
    else:
        await shelf.upload(created.file.id, [])
    file = await shelf.get(created.file.id, "alice")
    assert (file.state, file.size_bytes, file.sha256) == (file_pb2.FILE_STATE_READY, 0, sha256(b""))
    assert (await shelf.http.get(file.download_url)).content == b""
    assert await shelf.download(file.id) == b""
    assert (await shelf.attach(file.id)).files[0].size_bytes == 0
    request = pb2.CreateFileRequest(room_id="lobby", content_type="text/plain", request_id="unsaid")
    refusal = await refused(shelf.stub.CreateFile(request, metadata=user("alice")), "FIELD_REQUIRED")
    assert refusal.metadata == {"field": "size_bytes"}


async def test_an_attached_file_keeps_what_it_was_called(shelf: Library) -> None:
    first, second = await shelf.add(name="a", custom_data=struct_pb2.Value(number_value=7)), await shelf.add(name="b")
    (attached, other, again) = (
        (await shelf.attach(second.id, first.id)).files[1],
        *(await shelf.attach(second.id, first.id, second.id)).files,
    )
    assert (attached.id, attached.name, attached.content_type) == (first.id, "a", "image/png")
    assert (attached.size_bytes, attached.sha256, attached.custom_data.number_value) == (
        len(PICTURE),
        sha256(PICTURE),
        7,
    )
    assert [other.id, again.id] == [second.id, first.id]


async def test_files_are_attached_all_or_none(shelf: Library) -> None:
    file, of_attic = await shelf.add(), await shelf.add(room_id="attic")
    await refused(shelf.attach(file.id, of_attic.id), "FILE_NOT_FOUND")
    await refused(shelf.attach(file.id, "no id"), "FILE_NOT_FOUND")
    # So nothing may be referring to it.
    await shelf.delete(file.id)


async def test_only_services_attach(shelf: Library) -> None:
    file = await shelf.add()
    await refused(shelf.attach(file.id, metadata=user("alice")), "SERVICE_REQUIRED")


async def test_files_is_healthy_and_refuses_what_it_does_not_know(shelf: Library) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = shelf.suite.channel("files").unary_unary("/chatkit.x/Get")
    await refused(call(b""), "METHOD_NOT_FOUND")
    health = shelf.suite.servers["files"].http_address
    assert (await shelf.http.get(f"http://{health}/health")).status_code == 200
    await shelf.suite.servers["files"].readiness.drain()
    # It says so, and serves on until callers have turned elsewhere.
    assert (await shelf.http.get(f"http://{health}/health")).status_code == 503
    assert (await shelf.http.get(f"http://{health}/files/nothing")).status_code == 404
