"""A suite that can be disturbed leaves nothing behind, however it ends."""

import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from services.stack.chaos.disks import may_mount, small_disks
from services.stack.chaos.suite import disturbed
from services.stack.home import Home
from services.stack.trouble import Trouble
from tests.stack.chaos.chosen import REPLICAS


def _enough(text: str) -> None:
    if text.startswith("migrating"):
        raise Trouble("enough")


@pytest.mark.slow
async def test_a_start_that_fails_ends_what_it_has_started(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(Trouble, match="enough"):
        async with disturbed(tmp_path, REPLICAS, _enough):
            pytest.fail("it has begun")
    assert {child.pid for child in psutil.Process().children()} <= before
    assert not any(str(tmp_path) in mount.mountpoint for mount in psutil.disk_partitions(all=True))
    home = Home(tmp_path)
    assert not home.is_up()
    # What was on small disks is in the home.
    assert (home.data / "PG_VERSION").exists()
    assert (home.logs / "postgres.log").exists()


async def test_a_home_whose_suite_runs_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    with home.lock(), pytest.raises(Trouble, match="has a suite that runs already"):
        async with disturbed(tmp_path, REPLICAS, print):
            pytest.fail("it has begun")


def _leave_a_disk(folder: Path) -> None:
    """Mount one as a run does; killed, it does not take it off."""
    command = shutil.which("mount")
    assert command is not None
    subprocess.run([command, "-t", "tmpfs", "-o", "size=1m", "left", str(folder)], check=True)


async def test_disks_that_a_killed_run_has_left_are_taken_off_and_keep_what_is_on_them(home: Home) -> None:
    if not await may_mount(home.folder):
        pytest.skip("this user may not mount")
    home.blobs.mkdir()
    _leave_a_disk(home.blobs)
    (home.blobs / "kept").write_text("content")
    async with small_disks(home) as disks:
        assert disks.folders["content"].is_mount()
        assert (home.blobs / "kept").read_text() == "content"
    assert not home.blobs.is_mount()
    assert (home.blobs / "kept").read_text() == "content"
