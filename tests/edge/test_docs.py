"""The API reference as HTML: whole, without a script, and nothing in it that a text of the contract could start."""

import re
from html.parser import HTMLParser

from services.edge import public
from services.edge.reference.contract import methods
from services.edge.reference.html import html
from services.edge.reference.pages import Pages
from services.edge.rendering.docs import path_of
from services.runtime.contract.policies import Limits
from tests.support.edge import Edge

_DOCUMENTS = html(Pages(Limits()).write())
_VOID = {"meta"}


class _Reader(HTMLParser):
    """Reads a document, and notes elements, anchors and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        told = dict(attrs)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told["href"] or ""] if "href" in told else []
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


_READ = {path_of(name): _Reader(text) for name, text in _DOCUMENTS.items()}


def test_every_method_is_there_and_every_link_leads_to_something() -> None:
    for method in methods():
        assert method.name in _READ[path_of(method.service.full_name.split(".")[1])].ids
    for path, read in _READ.items():
        assert len(read.ids) == len(set(read.ids)), path
        for link in read.links:
            target, _, anchor = link.partition("#")
            assert not anchor or anchor in _READ[target].ids, f"{path}: {link}"


def test_nothing_is_loaded_or_run_and_all_of_it_is_small() -> None:
    for path, read in _READ.items():
        assert read.elements.isdisjoint({"script", "img", "link", "iframe", "form"}), path
        assert all(link.startswith(public.DOCS_PATH) for link in read.links), path
    assert sum(map(len, _DOCUMENTS.values())) < 500_000


def test_what_looks_like_markup_is_text() -> None:
    hostile = '# <b>\n\n<script>1</script> `<i>` [x"](users/A.md#"onclick=") | \\|\n\n| <u> |\n| --- |\n| a\\|b |\n'
    document = html({"README.md": hostile + "\n```sh\n<s>\n```\n"})[""]
    assert _Reader(document).elements.isdisjoint({"b", "i", "u", "s", "script"})
    assert "onclick=&quot;" in document
    assert "<td>a|b</td>" in document


async def test_the_edge_shows_it_to_anyone_and_lets_only_its_style_count(edge: Edge) -> None:
    for name, document in _DOCUMENTS.items():
        answer = await edge.http.get(path_of(name))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.text == document
    answer = await edge.http.get(public.DOCS_PATH)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert re.search(r"prefers|color-scheme:light dark", answer.text)
    answer = await edge.http.post(public.DOCS_PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
