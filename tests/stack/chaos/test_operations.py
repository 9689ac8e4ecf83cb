"""What is done to a suite's processes, keys, clocks and disks is what each kind says, and it recovers."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from services.stack.chaos.filling import without_disks
from services.stack.chaos.probe import what_fails
from services.stack.chaos.processes import pid_of
from services.stack.chaos.rolling import without_faketime
from services.stack.chaos.steps import Losses
from services.stack.chaos.suite import Suite
from services.stack.home import Home
from services.stack.sign_in import bearer
from tests.stack.chaos.chosen import chosen, step
from tests.support.eventually import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


async def test_a_service_is_restarted_process_by_process(suite: Suite) -> None:
    names = ("messages-1", "messages-2")
    before = [pid_of(suite, name) for name in names]
    await step("roll", "messages").cause(suite)
    assert not set(before) & {pid_of(suite, name) for name in names}


@pytest.mark.parametrize(("kind", "file"), [("keys", "keys.json"), ("service-keys", "service_keys.json")])
async def test_keys_are_others_afterwards_and_nobody_has_to_be_restarted(suite: Suite, kind: str, file: str) -> None:
    path = suite.home.keys_file.with_name(file)
    before, old = path.read_text(), bearer(suite.home, "alice")
    pids = [pid_of(suite, name) for name in suite.stack.children]
    expiring = replace(suite, token_seconds=0.0)
    async with chosen(kind).happening(expiring, Losses()):
        # Both are good for a while.
        assert path.read_text().count('"id"') == 2
    await suite.until_healthy("its keys were rotated")
    assert path.read_text().count('"id"') == 1
    assert path.read_text() != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert [pid_of(suite, name) for name in suite.stack.children] == pids
    if kind == "keys":
        assert bearer(suite.home, "alice") != old


async def test_an_old_key_stays_beside_the_new_one_while_tokens_of_it_may_be_in_use(suite: Suite) -> None:
    before = bearer(suite.home, "alice")
    await step("keys").cause(suite)
    assert suite.home.keys_file.read_text().count('"id"') == 2
    assert await what_fails(suite.home, suite.stack.address, before) == ""


async def test_a_clock_is_wrong_for_a_while(suite: Suite) -> None:
    if without_faketime(suite):
        pytest.skip(without_faketime(suite))
    async with chosen("clock", "the clock of rooms is 1").happening(suite, Losses()):
        await until(lambda: _fails(suite))
    await suite.until_healthy("its clock was wrong")
    assert "LD_PRELOAD" not in suite.child("rooms").told


async def _fails(suite: Suite) -> bool:
    return bool(await what_fails(suite.home, suite.stack.address))


async def test_a_database_whose_disk_is_full_writes_again_when_there_is_room(suite: Suite) -> None:
    _skip_without_disks(suite)
    async with chosen("full-database").happening(suite, Losses()):
        await until(lambda: _fails(suite))
    await suite.until_healthy("its disk was full")
    assert "No space left on device" in (suite.home.logs / "postgres.log").read_text()


@pytest.mark.parametrize("disk", ["logs", "content"])
async def test_a_disk_is_full_and_has_room_again(suite: Suite, disk: str) -> None:
    _skip_without_disks(suite)
    assert suite.disks is not None
    file = suite.disks.folders[disk] / "filler"
    async with chosen(f"full-{disk}").happening(suite, Losses()):
        with pytest.raises(OSError, match="No space left") as raised:
            file.write_bytes(bytes(1_000_000))
        assert raised.value.errno == errno.ENOSPC
        file.unlink()
        # Messages flow without content, and without a log.
        assert await what_fails(suite.home, suite.stack.address) == ""
    file.write_bytes(bytes(1_000_000))
    file.unlink()


async def test_content_is_away_and_comes_back(suite: Suite) -> None:
    kept = suite.home.blobs / "kept"
    kept.write_text("content")
    async with chosen("content-away").happening(suite, Losses()):
        assert not kept.exists()
        with pytest.raises(OSError, match=r"Read-only|Not a directory"):
            (suite.home.blobs / "new").touch()
    assert kept.read_text() == "content"
    kept.unlink()


def _skip_without_disks(suite: Suite) -> None:
    if why := without_disks(suite):
        pytest.skip(why)


async def test_a_folder_that_is_no_disk_is_away_too(suite: Suite, tmp_path: Path) -> None:
    elsewhere = replace(suite, home=Home(tmp_path))
    kept = elsewhere.home.blobs / "kept"
    kept.parent.mkdir()
    kept.write_text("content")
    async with chosen("content-away").happening(elsewhere, Losses()):
        with pytest.raises(NotADirectoryError):
            kept.read_text()
    assert kept.read_text() == "content"
