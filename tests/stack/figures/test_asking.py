"""What runs on this machine is asked itself, whatever proxy the environment names."""

import json

import pytest

from services.stack.commands import limits
from services.stack.figures.asking import ask
from services.stack.releases import edge_release
from tests.support.serving import serving

_PAGE = {"/": json.dumps({"version": "0.1.0", "commit": "", "limits": []})}


async def test_nobody_asks_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(_PAGE) as address:
        assert await edge_release(address) == "0.1.0"
        assert limits._asked(address)["limits"] == []
        assert ask(address, "/") == (200, _PAGE["/"])


async def test_a_page_that_is_no_edges_has_no_release() -> None:
    for page in ("[]", "nothing", "null"):
        with serving({"/": page}) as address:
            assert await edge_release(address) == ""
    assert await edge_release("127.0.0.1:1") == ""
