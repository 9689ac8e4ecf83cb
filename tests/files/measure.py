"""`python -m tests.files.measure [NGINX]`: throughput of uploads and downloads, beside nginx where it is installed.

nginx serves the same bytes from the same folder, asked by the same client in the same run.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import httpx
import psutil

from services.stack.machine.ports import Port
from tests.files.library import Library, library
from tests.support import databases

_BYTES, _UPLOADS, _FILES, _AT_ONCE, _IN_ONE = 5_242_880, 40, 200, 10, 20
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off; sendfile on; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {address}; root {root}; }}
}}
"""


async def _timed(pid: int, calls: Sequence[Callable[[], Awaitable[None]]], files: int) -> str:
    """Make all calls, so many at once, and return megabytes in a second and what they cost the process."""
    process, places = psutil.Process(pid), asyncio.Semaphore(_AT_ONCE)

    async def one(call: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await call()

    def used() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    began, before = time.monotonic(), used()
    await asyncio.gather(*(one(call) for call in calls))
    rate = files * _BYTES / 1e6 / (time.monotonic() - began)
    return f"{rate:.0f} MB/s, {(used() - before) / files * 1000:.1f} ms of its CPU for each file of 5 MiB"


async def _curl(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(shutil.which("curl") or "curl", "--silent", "--fail", *arguments)
    assert await process.wait() == 0


def _fetches(url: str) -> list[Callable[[], Awaitable[None]]]:
    """Return processes that each fetch a file several times over one connection."""
    wanted = ("--output", "/dev/null", url) * _IN_ONE
    return [partial(_curl, *wanted)] * (_FILES // _IN_ONE)


async def _nginx(shelf: Library, binary: str) -> str:
    (stored, *_) = shelf.stored()
    folder, held = shelf.folder / "nginx", Port("127.0.0.1")
    folder.mkdir()
    held.release()
    text = _NGINX.format(folder=folder, address=held.address, root=shelf.folder / "blobs")
    (folder / "nginx.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(binary, "-p", str(folder), "-c", str(folder / "nginx.conf"))
    url = f"http://{held.address}/{stored.relative_to(shelf.folder / 'blobs')}"
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(100):
                try:
                    assert (await http.head(url)).status_code == 200
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        return await _timed(process.pid, _fetches(url), _FILES)
    finally:
        process.terminate()
        await process.wait()


async def _measure(shelf: Library, folder: Path, nginx: str | None) -> None:
    content = folder / "content"
    content.write_bytes(bytes(range(256)) * (_BYTES // 256))
    created = [await shelf.create(content.read_bytes()) for _ in range(_UPLOADS)]
    sent = ("--output", "/dev/null", "--upload-file", str(content))
    puts = [partial(_curl, *sent, one.upload_url) for one in created]
    print("up, PUT:    ", await _timed(shelf.pid, puts, _UPLOADS))
    url = (await shelf.get(created[0].file.id, "alice")).download_url
    print("down, GET:  ", await _timed(shelf.pid, _fetches(url), _FILES))
    print("down, nginx:", "not installed" if nginx is None else await _nginx(shelf, nginx))


async def _main(nginx: str | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with databases.cluster(folder) as postgres, databases.clone(postgres) as database:
            command = (sys.executable, "-m", "services.files", "serve")
            async with library(database, folder, command, limit_overrides={"UPLOADS_PER_USER": 50}) as shelf:
                await _measure(shelf, folder, nginx)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1] if len(sys.argv) > 1 else shutil.which("nginx")))
