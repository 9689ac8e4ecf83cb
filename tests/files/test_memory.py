"""Memory and throughput: fifty of the largest files go up and down at once, and the service stays small."""

import asyncio
import hashlib
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.files.library import library
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, until

_FILES, _BYTES, _AT_ONCE = 50, 5_242_880, 50
# What fifty files would take at once is 250 MiB. Measured were 40 MB.
_MOST_GROWTH = 100 * 1024 * 1024


@pytest.mark.slow
async def test_memory_stays_flat_while_fifty_files_go_up_and_down_at_once(
    database: TestDatabase, tmp_path: Path
) -> None:
    command = (sys.executable, "-m", "services.files", "serve")
    overrides = {"UPLOADS_PER_USER": _AT_ONCE, "UPLOADS_PER_PROCESS": _AT_ONCE}
    async with library(database, tmp_path, command, limit_overrides=overrides) as shelf:
        process = psutil.Process(shelf.pid)
        first = await shelf.add(bytes(_BYTES))
        assert len(await shelf.download(first.id)) == _BYTES
        before = most = process.memory_info().rss

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.01)

        created = [await shelf.create(bytes(_BYTES)) for _ in range(_FILES)]
        url = (await shelf.get(first.id)).download_url
        content = memoryview(bytes(_BYTES))
        watching = asyncio.create_task(watch())
        limits = httpx.Limits(max_connections=_AT_ONCE)
        async with httpx.AsyncClient(timeout=HANG_SECONDS, trust_env=False, limits=limits) as http:
            # A machine that is busy may have no connection to the database for a while: clients repeat.

            async def put(url: str) -> None:
                async def sent() -> bool:
                    with suppress(httpx.TransportError):
                        answer = await http.put(url, content=bytes(content))
                        assert answer.status_code in {200, 503}, answer.text
                        return answer.status_code == 200
                    return False

                await until(sent)

            async def get(url: str) -> None:
                async def fetched() -> bool:
                    digest = hashlib.sha256()
                    async with http.stream("GET", url) as answer:
                        assert answer.status_code in {200, 503}, await answer.aread()
                        async for piece in answer.aiter_bytes():
                            digest.update(piece)
                    assert answer.status_code == 503 or digest.hexdigest() == first.sha256
                    return answer.status_code == 200

                await until(fetched)

            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for one in created:
                    group.create_task(put(one.upload_url))
                    group.create_task(get(url))
            seconds = time.monotonic() - began
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    megabytes = _FILES * _BYTES / 1e6
    print(f"{before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at the most, {2 * megabytes / seconds:.0f} MB/s in all")
    assert most - before < _MOST_GROWTH
