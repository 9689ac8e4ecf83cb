"""One suite for all tests of the folder: each disturbs it, and leaves it when it is healthy again."""

from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio

from services.stack.chaos.suite import Suite, disturbed
from tests.stack.chaos.chosen import REPLICAS

# Rolling restarts and rotations of keys wait for these.
_QUICK = {"CHATKIT_DRAIN_SECONDS": "0.2", "CHATKIT_KEYS_POLL_INTERVAL_SECONDS": "0.2"}


@pytest.fixture(scope="package")
def quick() -> Iterator[None]:
    """Let processes wait for less."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _QUICK.items():
            patch.setenv(name, value)
        yield


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def suite(tmp_path_factory: pytest.TempPathFactory, quick: None) -> AsyncIterator[Suite]:
    """Run a suite at which everything can be disturbed."""
    del quick
    folder = tmp_path_factory.mktemp("chaos")
    async with disturbed(folder, REPLICAS, print) as running:
        assert running.home.running_address() == running.stack.address
        yield running
        processes = [psutil.Process(one.pid) for one in running.home.state().processes]
    assert processes
    assert not any(process.is_running() for process in processes)
    assert not any(str(folder) in mount.mountpoint for mount in psutil.disk_partitions(all=True))
    assert (folder / "logs" / "rooms.log").stat().st_size > 0
