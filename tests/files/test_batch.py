"""Several files read by one call: what is told, what is left out, and what is asked about them."""

from itertools import chain
from uuid import uuid4

import grpc
import psycopg
import pytest
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2

from tests.files.library import PICTURE, Library
from tests.support.refusals import refused
from tests.support.tokens import Metadata, lasting

_WHO: dict[str, Metadata] = {name: lasting(name) for name in ("alice", "bob", "carol", "dan")} | {
    "su": lasting(None, su=True)
}


async def _read(shelf: Library, who: str, *file_ids: str) -> list[file_pb2.File]:
    request = pb2.BatchGetFilesRequest(file_ids=file_ids)
    return list((await shelf.stub.BatchGetFiles(request, metadata=_WHO[who])).files)


async def _ids(shelf: Library, who: str, *file_ids: str) -> list[str]:
    return [file.id for file in await _read(shelf, who, *file_ids)]


async def test_files_of_several_rooms_are_read_in_the_order_asked_for_with_urls(shelf: Library) -> None:
    first, second = await shelf.add(name="1"), await shelf.add(room_id="attic", name="2")
    nobodys = str(uuid4())
    found = await _read(shelf, "alice", second.id, nobodys, first.id, "no id", second.id, first.id.upper())
    assert [file.name for file in found] == ["2", "1"]
    for file in found:
        assert (await shelf.http.get(file.download_url)).content == PICTURE
    assert found[1] == await shelf.get(first.id)
    assert await _read(shelf, "alice", nobodys, "no id") == []


async def test_what_is_told_is_what_each_file_alone_would_tell(shelf: Library) -> None:
    rooms: dict[str, str] = {}
    for room_id, owners in (("lobby", ("alice", "bob")), ("attic", ("alice", "carol"))):
        for owner in owners:
            sent, unsent = [await shelf.add(as_user=owner, room_id=room_id) for _ in range(2)]
            attached = await shelf.add(as_user=owner, room_id=room_id)
            pending = (await shelf.create(as_user=owner, room_id=room_id)).file
            await shelf.send(sent.id, as_user=owner, room_id=room_id)
            await shelf.attach(attached.id, as_user=owner, room_id=room_id)
            rooms |= dict.fromkeys((sent.id, unsent.id, attached.id, pending.id), room_id)
    shelf.peers.denied_in["alice", "attic"] = {"file:get"}
    await shelf.suite.restart("files")
    told = {who: await _ids(shelf, who, *rooms) for who in _WHO}
    for who, metadata in _WHO.items():
        alone = []
        for file_id, room_id in rooms.items():
            try:
                await shelf.stub.GetFile(pb2.GetFileRequest(room_id=room_id, file_id=file_id), metadata=metadata)
                alone.append(file_id)
            except grpc.aio.AioRpcError as error:
                assert error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED}  # noqa: PT017 - it is hidden
        assert told[who] == alone, who
    assert {who: len(ids) for who, ids in told.items()} == {"alice": 5, "bob": 5, "carol": 5, "dan": 0, "su": 16}


async def test_rooms_and_messages_are_each_asked_once_for_all_files(shelf: Library) -> None:
    ids = [(await shelf.add(as_user="alice", room_id=room_id)).id for room_id in ("lobby", "attic") for _ in range(3)]
    await shelf.send(*ids[:3])
    await shelf.send(*ids[3:], room_id="attic")
    shelf.peers.checks, shelf.peers.batches = 0, []
    assert await _ids(shelf, "bob", *ids) == ids[:3]
    assert (shelf.peers.checks, shelf.peers.batches) == (0, [2])
    assert [sorted(asked) for asked in shelf.references.asked] == [sorted(ids[:3])]
    # What was allowed is kept, and asked about no more; what was refused is not.
    assert await _ids(shelf, "bob", *ids) == ids[:3]
    assert shelf.peers.batches == [2, 1]
    assert await _ids(shelf, "alice", *ids) == ids
    assert len(shelf.references.asked) == 2


async def test_files_of_a_room_that_was_deleted_are_left_out_of_the_next_one_of_its_name(shelf: Library) -> None:
    before, now = await shelf.add(), await shelf.add()
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("UPDATE files.files SET room_uid = gen_random_uuid() WHERE uid = %s", [before.id])
    for who in ("alice", "su"):
        assert await _ids(shelf, who, before.id, now.id) == [now.id]


async def test_a_member_who_was_removed_is_told_of_no_more_files(shelf: Library) -> None:
    file, own = await shelf.add(), await shelf.add(as_user="bob")
    await shelf.send(file.id)
    assert await _ids(shelf, "bob", file.id, own.id) == [file.id, own.id]
    shelf.peers.remove("lobby", "bob")
    await shelf.suite.restart("files")
    assert await _ids(shelf, "bob", file.id, own.id) == []


async def test_nothing_is_told_while_nobody_says_who_may_read_it(shelf: Library) -> None:
    file = await shelf.add()
    await shelf.send(file.id)
    shelf.peers.unavailable = True
    await refused(_read(shelf, "bob", file.id), "DATABASE_UNAVAILABLE")
    shelf.peers.unavailable = False
    await shelf.references.stop()
    await refused(_read(shelf, "bob", file.id), "SERVICE_UNAVAILABLE")
    assert await _ids(shelf, "alice", file.id) == [file.id]


@pytest.mark.parametrize(
    ("file_ids", "reason"),
    [([], "FIELD_REQUIRED"), ([""], "FIELD_REQUIRED"), (["a\nb"], "FIELD_INVALID"), (["a"] * 101, "LIMIT_EXCEEDED")],
)
async def test_what_is_wrong_with_a_request_is_said(shelf: Library, file_ids: list[str], reason: str) -> None:
    error = await refused(_read(shelf, "alice", *file_ids), reason)
    assert error.metadata.get("limit", "PAGE_SIZE") == "PAGE_SIZE"


async def test_as_many_as_may_be_are_read(shelf: Library) -> None:
    own = [(await shelf.create()).file.id for _ in range(3)]
    others = [str(uuid4()) for _ in range(97)]
    assert await _ids(shelf, "alice", *chain(own[:1], others, own[1:])) == own
    # Of four bytes each, they are as large as a request may be.
    assert await _ids(shelf, "alice", *["\U0001f98e" * 160] * 100) == []
