"""What files exports of a user: what is known of each file, and its content, also while files go."""

from google.protobuf import json_format

from services.files.export import store
from services.files.export.exporter import UserExporter
from services.files.export.store import UserExportStore
from services.runtime.erasure.model import ErasedUser
from services.runtime.ids import UserId, UserUid
from tests.files.library import PICTURE, Library, sha256
from tests.files.world import World
from tests.support.exports import exported_by, of_kind
from tests.support.peers import uid_of

ALICE = UserUid(uid_of("alice"))


async def test_each_file_comes_with_its_content_and_those_of_others_do_not(shelf: Library) -> None:
    first = await shelf.add(request_id="a", name="first.png")
    pending = (await shelf.create(request_id="b")).file
    await shelf.add(as_user="bob")
    await shelf.send(first.id)
    records = await exported_by(shelf.suite, "files", ALICE)
    told, waiting = of_kind(records, "file")
    assert (told["id"], told["state"], told["name"]) == (first.id, "FILE_STATE_READY", "first.png")
    assert told["sha256"] == sha256(PICTURE)
    assert "attach_time" in told
    assert not {"download_url", "download_expire_time"} & set(told)
    assert (waiting["id"], waiting["state"], waiting["request_id"]) == (pending.id, "FILE_STATE_PENDING", "b")
    assert b"".join(one.content for one in records) == PICTURE
    assert of_kind(records, "storage") == [{"bytes": str(2 * len(PICTURE))}]


async def test_all_pages_are_exported_and_empty_files_too(shelf: Library) -> None:
    ids = [(await shelf.add(b"", request_id=f"{number:03}")).id for number in range(2 * store._AT_ONCE + 1)]
    records = await exported_by(shelf.suite, "files", ALICE)
    assert [one["id"] for one in of_kind(records, "file")] == ids


async def test_a_file_that_goes_while_it_is_exported_is_named_and_the_rest_comes(shelf: Library) -> None:
    goes = await shelf.add(request_id="a")
    stays = await shelf.add(request_id="b")
    world = World(shelf)
    files, _ = world.files()
    exporter = UserExporter(UserExportStore(shelf.suite.servers["files"].database), files)
    found = exporter.export_user(ErasedUser(ALICE, UserId("alice")))
    records = [await anext(found), await anext(found)]
    assert json_format.MessageToDict(records[1].record)["id"] == goes.id
    await shelf.delete(goes.id)
    records += [one async for one in found]
    assert of_kind(records, "file_gone") == [{"file_id": goes.id}]
    assert [one["id"] for one in of_kind(records, "file")] == [goes.id, stays.id]
    assert b"".join(one.content for one in records) == PICTURE
    await world.database.close()
