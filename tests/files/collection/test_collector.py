"""What nobody needs goes, and nothing that somebody may need: the collector, and the reconciler after accidents."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.files.collection.reconciler import Findings, Reconciler, reconcile
from services.files.content.blobs import open_blobs
from services.files.model import FileUid
from services.files.peers import MessagesClient
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import Unavailable
from services.runtime.data.database import Database, create_engine
from services.stack.machine.ports import Port
from tests.files.library import PICTURE, Library, library
from tests.files.world import Asked, World
from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.suite import settings

DAY, HOUR = 86_400.0, 3600.0
CLEAN = Findings(0, 0, 0)


async def _reconciled(shelf: Library, later: float = 2 * HOUR, **told: bool) -> Findings:
    database = Database(create_engine(shelf.database.dsn("files"), connections=1))
    blobs = open_blobs(settings(shelf.database, shelf.folder, "files"))
    shelf.clock.database.advance(later)
    messages: Any = Asked(*([shelf.references.used] * 9))
    try:
        return await Reconciler(database, blobs, messages, print, **told).reconcile()
    finally:
        await database.close()


def _told(shelf: Library, name: str, **labels: str) -> float | None:
    metrics = shelf.suite.servers["files"].metrics
    metrics.take()
    return metrics.registry.get_sample_value(name, labels)


async def test_a_file_that_no_message_has_goes_after_a_day_and_one_in_use_stays(shelf: Library) -> None:
    unused, used, pending = await shelf.add(), await shelf.add(), (await shelf.create()).file
    await shelf.attach(used.id)
    shelf.references.used.add(used.id)
    shelf.clock.leap(DAY - 600)
    await shelf.add(name="young")
    await shelf.look()
    assert shelf.database.count("files.files") == 4
    shelf.clock.leap(600)
    await shelf.collected(lambda: shelf.database.count("files.files") == 2)
    await refused(shelf.get(unused.id, "alice"), "FILE_NOT_FOUND")
    await refused(shelf.get(pending.id, "alice"), "FILE_NOT_FOUND")
    assert await shelf.download(used.id) == PICTURE
    # The message is deleted, and the file goes a day after the collector has last seen it in use.
    shelf.references.used.clear()
    shelf.clock.leap(2 * DAY)
    await shelf.collected(lambda: shelf.database.count("files.files") == 0)
    assert shelf.stored() == []
    assert (await _reconciled(shelf)) == CLEAN
    # One of the four never had content.
    assert _told(shelf, "chatkit_collection_files_removed_total") == 4
    assert _told(shelf, "chatkit_collection_bytes_removed_total") == 3 * len(PICTURE)
    assert _told(shelf, "chatkit_collection_rounds_total", outcome="done")
    await shelf.create()


async def test_attaching_a_file_gives_it_another_day(shelf: Library) -> None:
    file = await shelf.add()
    shelf.clock.leap(DAY - 600)
    await shelf.attach(file.id)
    shelf.clock.leap(600)
    await shelf.look()
    assert (await shelf.get(file.id)).id == file.id
    shelf.clock.leap(DAY)
    await shelf.collected(lambda: shelf.database.count("files.files") == 0)


async def test_while_messages_does_not_answer_nothing_is_removed(database: TestDatabase, tmp_path: Path) -> None:
    nobody = "127.0.0.1:9"
    async with library(database, tmp_path, messages_address=nobody) as shelf:
        file, pending = await shelf.add(), (await shelf.create()).file
        await refused(shelf.delete(file.id), "SERVICE_UNAVAILABLE")
        await shelf.delete(pending.id)
        assert (await shelf.attach(file.id)).files[0].id == file.id
        shelf.clock.leap(2 * DAY)
        await shelf.look()
        assert await shelf.download(file.id) == PICTURE
        await shelf.suite.restart("files", messages_address=shelf.references.address)
        # The one that had worked on it has died, and its lease runs out.
        await shelf.collected(lambda: shelf.database.count("files.files") == 0)


async def test_a_file_that_turns_out_to_be_in_use_while_it_is_condemned_comes_back(shelf: Library) -> None:
    file = await shelf.add()
    # The service's own collector does not wake.
    world = World(shelf)
    shelf.clock.database.advance(2 * DAY)
    messages = Asked(set(), {file.id})
    assert await world.collector(messages).collect() == 0
    assert messages.answers == []
    assert (await shelf.attach(file.id)).files[0].id == file.id
    await world.database.close()


async def test_a_condemned_file_can_be_read_and_not_attached_until_messages_has_answered(shelf: Library) -> None:
    file = await shelf.add()
    world = World(shelf)
    shelf.clock.database.advance(2 * DAY)
    collector = world.collector(Asked(set(), Unavailable("SERVICE_UNAVAILABLE", "messages is away")))
    with pytest.raises(Unavailable):
        await collector.collect()
    await refused(shelf.attach(file.id), "CONTENTION")
    assert await shelf.download(file.id) == PICTURE
    # Others leave it alone as long as somebody may be at it.
    assert await world.collector(Asked()).collect() == 0
    shelf.clock.database.advance(360)
    assert await world.collector(Asked(set(), set())).collect() == 1
    assert shelf.stored() == []
    await world.database.close()


async def test_a_replica_whose_clock_is_wrong_ends_no_upload_and_removes_no_file(shelf: Library) -> None:
    file, world, right = (await shelf.create()).file, World(shelf), shelf.clock.now()
    await world.store.begin_upload("ab/x", FileUid(UUID(file.id)))
    for wrong in (timedelta(days=2), timedelta(days=-2)):
        shelf.clock.now = lambda wrong=wrong: right + wrong  # type: ignore[misc, method-assign]
        assert await world.collector(Asked()).collect() == 0
    shelf.clock.now = lambda: right  # type: ignore[method-assign]
    assert (await shelf.get(file.id, "alice")).id == file.id
    assert await world.store.finish_upload("ab/x", FileUid(UUID(file.id)), b"x", timedelta(days=1)) is not None
    await world.database.close()


async def test_an_upload_that_nobody_works_on_any_more_is_cleared_and_can_give_no_content(shelf: Library) -> None:
    file = (await shelf.create()).file
    world = World(shelf)
    key = f"ab/{uuid4().hex}"
    await world.store.begin_upload(key, FileUid(UUID(file.id)))
    async with world.blobs.writing(key, {}) as writer:
        await writer.write(PICTURE)
    (shelf.folder / "blobs" / f"{key}#1").write_bytes(b"half of it")
    shelf.clock.database.advance(2 * HOUR)
    await world.collector(Asked()).collect()
    assert shelf.stored() == []
    assert shelf.database.count("files.uploads") == 0
    # The process that was at it had only been stopped.
    assert await world.store.finish_upload(key, FileUid(UUID(file.id)), b"x", timedelta()) is None
    await world.database.close()


async def test_of_a_revoked_upload_nothing_becomes_content(shelf: Library) -> None:
    file = (await shelf.create()).file
    world = World(shelf)
    await world.store.begin_upload("ab/x", FileUid(UUID(file.id)))
    assert await world.store.revoke_stale(timedelta(seconds=-1), 10) == ["ab/x"]
    assert await world.store.finish_upload("ab/x", FileUid(UUID(file.id)), b"x", timedelta()) is None
    assert shelf.database.count("files.uploads") == 1
    await world.database.close()


async def test_the_reconciler_removes_what_has_no_row_corrects_counts_and_reports_what_is_lost(shelf: Library) -> None:
    kept, lost, short = await shelf.add(), await shelf.add(), await shelf.add()
    by_id = {path.name[:32]: path for path in shelf.stored()}
    by_id[lost.id.replace("-", "")].unlink()
    by_id[short.id.replace("-", "")].write_bytes(b"short")
    stray = shelf.folder / "blobs" / "zz" / "stray"
    stray.parent.mkdir()
    stray.write_bytes(b"nobody's")
    stray.with_name("half#1").write_bytes(b"half")
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("UPDATE files.usage SET bytes = 5")
    # What is young is left alone: it may be an upload's.
    assert (await _reconciled(shelf, 0)).blobs_removed == 0
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("UPDATE files.usage SET bytes = 5")
    assert await _reconciled(shelf) == Findings(blobs_removed=2, usages_corrected=1, contents_lost=2)
    assert await _reconciled(shelf) == Findings(0, 0, 2)
    assert await shelf.download(kept.id) == PICTURE
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        assert connection.execute("SELECT bytes FROM files.usage").fetchall() == [(3 * len(PICTURE),)]


@pytest.mark.parametrize("is_dry_run", [True, False])
async def test_content_of_which_the_tables_know_nothing_stays_while_a_message_refers_to_it(
    shelf: Library, is_dry_run: bool
) -> None:
    used, unused = await shelf.add(), await shelf.add()
    shelf.references.used.add(used.id)
    # The tables are put back to what they were before either was there.
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("TRUNCATE files.files, files.uploads, files.usage")
    assert await _reconciled(shelf, is_dry_run=is_dry_run) == Findings(1, 0, 0, files_lost=1)
    left = {path.name[:32] for path in shelf.stored()}
    assert left == {one.id.replace("-", "") for one in ([used, unused] if is_dry_run else [used])}


async def test_an_upload_that_ended_after_the_backup_keeps_its_content_while_a_message_refers_to_it(
    shelf: Library,
) -> None:
    used, unused = await shelf.add(), await shelf.add()
    shelf.references.used.add(used.id)
    kept = next(path for path in shelf.stored() if path.name.startswith(used.id.replace("-", "")))
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        columns = "files.uploads (blob_key, file_uid, start_time)"
        connection.execute(f"INSERT INTO {columns} SELECT blob_key, uid, '2026-01-01' FROM files.files")
        connection.execute("UPDATE files.files SET state = 1, blob_key = NULL")
    await shelf.collected(lambda: shelf.database.count("files.uploads") == 0)
    assert shelf.stored() == [kept]
    assert unused.id.replace("-", "") not in kept.name


async def test_while_messages_does_not_say_nothing_is_removed(
    shelf: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    await shelf.add()
    with psycopg.connect(shelf.database.superuser_dsn) as connection:
        connection.execute("TRUNCATE files.files, files.uploads, files.usage")
    shelf.clock.database.advance(2 * HOUR)
    nobody = Port("127.0.0.1")
    told = settings(shelf.database, shelf.folder, "files", messages_address=nobody.address)
    assert await reconcile(told, SystemClock()) == 2
    nobody.release()
    assert capsys.readouterr().out == ""
    assert len(shelf.stored()) == 1


async def test_the_command_prints_and_tells_by_its_status_whether_content_was_lost(
    shelf: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    await shelf.add()
    told = settings(shelf.database, shelf.folder, "files")
    assert await reconcile(told, SystemClock()) == 0
    assert capsys.readouterr().out.endswith("0 blobs removed, 0 counts corrected, 0 contents lost, 0 files lost\n")
    os.truncate(shelf.stored()[0], 3)
    assert await reconcile(told, SystemClock()) == 1
    assert "has 3 bytes: bring back a backup" in capsys.readouterr().out


async def test_a_messages_of_the_release_before_says_nothing_so_nothing_is_removed(shelf: Library) -> None:
    server = shelf.suite.servers["files"]
    # Files has no such method either, and says so as every service does.
    with pytest.raises(Unavailable):
        await MessagesClient(server.peer("messages", server.address)).referenced(["x"])
