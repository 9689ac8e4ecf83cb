"""In a browser, files go up and down as they do from Node, and a page can tell how far they are."""

import json
import shutil
from pathlib import Path

import grpc

from tests.clients.quickstarts.browser import browsing, served
from tests.clients.quickstarts.programs import Shown
from tests.support.edge import running_edge
from tests.support.eventually import eventually
from tests.support.suite import Suite
from tests.support.tokens import token

_PAGE = Path(__file__).parent / "uploading.html"
_SIZE = 3_000_000


async def test_a_page_is_told_how_far_a_file_is(suite: Suite, tmp_path: Path, short_path: Path) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    site, shown = tmp_path / "site", Shown()
    site.mkdir()
    shutil.copy(_PAGE, site)
    async with served(site, shown) as origin, running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=origin) as edge:
        page = f"{origin}/{_PAGE.name}#http://{edge.address},{token('alice')}"
        async with browsing(page, tmp_path / "profile"):
            await eventually(lambda: len(shown.lines) == 2 or any("error" in line for line in shown.lines))
    said, aborted = map(json.loads, shown.lines)
    assert (said["isSame"], said["type"]) == (True, "text/plain")
    for told in (said["sent"], said["read"]):
        assert {total for _, total in told} == {_SIZE}
        assert told[0][0] == 0
        assert told[-1][0] == _SIZE
        assert told == sorted(told)
    assert aborted == {"aborted": grpc.StatusCode.CANCELLED.value[0]}
