"""Erasing the files of a room: rows, content and uploads under way go, and no file comes into being there again."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub

from services.files.erasure.store import ErasureStore
from services.files.model import FileUid
from services.runtime.contract.errors import ChatkitError
from services.runtime.erasure.model import PseudonymKey
from services.runtime.identity.tokens import mint_service_token
from services.runtime.ids import RoomUid, UserId
from tests.files.library import PICTURE, Library
from tests.files.world import World
from tests.support.peers import uid_of
from tests.support.refusals import refused
from tests.support.tokens import SERVICE_KEY, bearer

_TABLES = ("files.files", "files.uploads")


async def _erase(shelf: Library, room_id: str = "lobby") -> bool:
    return await _erased(shelf, pb2.EraseRequest(room_uid=uid_of(room_id).bytes))


async def _erased(shelf: Library, request: pb2.EraseRequest) -> bool:
    stub = ErasureServiceStub(shelf.suite.channel("files"))
    as_rooms = bearer(mint_service_token(SERVICE_KEY, "rooms", "files", shelf.clock.now()))
    # A slow machine needs more than one call.
    while True:
        answer: pb2.EraseResponse = await stub.Erase(request, metadata=as_rooms)
        if answer.is_done:
            return True


async def _erase_user(shelf: Library) -> bool:
    return await _erased(shelf, pb2.EraseRequest(user=pb2.ErasedUser(uid=uid_of("alice").bytes, id="alice")))


def _usage(shelf: Library, owner_id: str) -> int:
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        query = "SELECT coalesce(sum(bytes), 0) FROM files.usage WHERE owner_uid = %s"
        return int((connection.execute(query, (uid_of(owner_id),)).fetchone() or (0,))[0])


async def test_all_files_of_a_room_go_and_no_others(shelf: Library) -> None:
    other = await shelf.add(room_id="attic")
    file = await shelf.add()
    await shelf.send((await shelf.add(as_user="bob")).id, as_user="bob")
    await shelf.create()
    url = file.download_url
    assert await _erase(shelf)
    assert [shelf.database.count(table) for table in _TABLES] == [1, 0]
    assert len(shelf.stored()) == 1
    assert (_usage(shelf, "alice"), _usage(shelf, "bob")) == (len(PICTURE), 0)
    await refused(shelf.get(file.id), "FILE_NOT_FOUND")
    assert (await shelf.http.get(url)).status_code == 404
    assert await shelf.get(other.id, room_id="attic") == other
    # Also a second time.
    assert await _erase(shelf)


async def test_no_file_comes_into_being_in_a_room_that_was_erased(shelf: Library) -> None:
    before = await shelf.create(request_id="before")
    assert await _erase(shelf)
    # Rooms, as it is here, still lets them in.
    await refused(shelf.create(), "ROOM_DELETED")
    await refused(shelf.create(request_id="before"), "ROOM_DELETED")
    answer = await shelf.put(before.upload_url, PICTURE)
    assert answer.status_code == 404
    await refused(shelf.upload(before.file.id, [PICTURE]), "FILE_NOT_FOUND")
    assert [shelf.database.count(table) for table in _TABLES] == [0, 0]
    assert shelf.stored() == []
    await shelf.create(room_id="attic")


async def test_all_files_of_a_user_go_wherever_they_are_and_no_others(shelf: Library) -> None:
    theirs, in_use = await shelf.add(room_id="attic"), await shelf.add()
    await shelf.send(in_use.id)
    await shelf.create()
    other = await shelf.add(as_user="bob")
    assert await _erase_user(shelf)
    assert [shelf.database.count(table) for table in ("files.files", "files.uploads", "files.usage")] == [1, 0, 1]
    assert len(shelf.stored()) == 1
    assert (await shelf.get(other.id, "bob")) == other
    await refused(shelf.get(theirs.id, room_id="attic"), "FILE_NOT_FOUND")
    # Rooms, as it is here, still lets them in.
    await refused(shelf.create(), "USER_DELETED")
    await shelf.create(as_user="bob")
    assert await _erase_user(shelf)


async def test_where_their_messages_stay_so_do_files_that_were_attached(shelf: Library) -> None:
    key = PseudonymKey(bytes(32))
    sent, unsent = await shelf.add(), await shelf.add()
    await shelf.send(sent.id)
    await shelf.create()
    user = pb2.ErasedUser(uid=uid_of("alice").bytes, id="alice")
    anonymized = pb2.AnonymizedUser(user=user, pseudonym_key=key.secret)
    for _ in range(2):
        assert await _erased(shelf, pb2.EraseRequest(anonymized_user=anonymized))
    kept = await shelf.get(sent.id, "bob")
    assert kept.owner_id == key.pseudonym_in(RoomUid(uid_of("lobby")))
    assert (kept.sha256, kept.size_bytes) == (sent.sha256, sent.size_bytes)
    assert len(shelf.stored()) == 1
    await refused(shelf.get(unsent.id), "FILE_NOT_FOUND")
    assert [shelf.database.count(table) for table in ("files.files", "files.uploads", "files.usage")] == [1, 0, 0]
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        rows = str(connection.execute("SELECT * FROM files.files").fetchall())
    for word in ("alice", str(uid_of("alice"))):
        assert word not in rows


async def test_a_file_is_either_attached_or_removed_when_both_happen_at_once(shelf: Library) -> None:
    world, pseudonym = World(shelf), UserId("nobody")
    file = await world.store.find(FileUid(UUID((await shelf.add()).id)))
    assert file is not None
    store = ErasureStore(world.database)
    assert not await store.anonymize(file, pseudonym)
    await shelf.send(file.id)
    # So it is looked at again, and stays.
    assert not await store.condemn(file)
    assert await store.anonymize(file, pseudonym)
    other = await world.store.find(FileUid(UUID((await shelf.add()).id)))
    assert other is not None
    assert await store.condemn(other)
    await refused(shelf.send(other.id), "CONTENTION")
    await world.database.close()


async def test_an_upload_that_is_under_way_ends_without_a_trace(shelf: Library) -> None:
    world = World(shelf)
    file = await world.store.find(FileUid(UUID((await shelf.create()).file.id)))
    assert file is not None
    is_writing, may_end = asyncio.Event(), asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield PICTURE[:1000]
        is_writing.set()
        await may_end.wait()
        yield PICTURE[1000:]

    uploads = world.uploads(world.store)
    taking = asyncio.create_task(uploads.take(file, content()))
    await is_writing.wait()
    assert await _erase(shelf)
    assert [shelf.database.count(table) for table in _TABLES] == [0, 0]
    may_end.set()
    # What it says depends on whether the folder or the database has noticed first.
    with pytest.raises(ChatkitError):
        await taking
    await uploads.close()
    await world.database.close()
    assert [shelf.database.count(table) for table in _TABLES] == [0, 0]
    assert shelf.stored() == []


async def test_a_file_whose_upload_begins_while_it_is_erased_is_erased_with_it(shelf: Library) -> None:
    world = World(shelf)
    file = await world.store.find(FileUid(UUID((await shelf.create()).file.id)))
    assert file is not None
    store = ErasureStore(world.database)
    assert await store.revoke_uploads(file.uid) == []
    await world.store.begin_upload("00/late", file.uid)
    await store.remove(file)
    assert [shelf.database.count(table) for table in _TABLES] == [1, 1]
    assert await store.revoke_uploads(file.uid) == ["00/late"]
    await store.remove(file)
    assert [shelf.database.count(table) for table in _TABLES] == [0, 0]
    with pytest.raises(ChatkitError, match="no such file"):
        await world.store.begin_upload("00/later", file.uid)
    await world.database.close()
