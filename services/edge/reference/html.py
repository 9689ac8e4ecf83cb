"""The reference as HTML: the same pages, those of one package together, with a style and without a script.

It reads what `pages` writes and nothing else of Markdown: headings, paragraphs, tables, lists, code and links.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from html import escape

from services.edge import public
from services.edge.rendering.docs import STYLE, path_of

_FRONT = "README.md"
_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Reference">{links}</nav>
<main>
<h1>{title}</h1>
"""
_FENCE = "```"


def html(pages: dict[str, str]) -> dict[str, str]:
    """Return a document for each of public.DOCS from the pages in Markdown."""
    return {name: _document(name, _sections(name, pages)) for name in public.DOCS}


def _sections(name: str, pages: dict[str, str]) -> Iterator[str]:
    for page, text in pages.items():
        if _document_of(page) == name:
            yield f'<section id="{_anchor_of(page)}">\n{chr(10).join(_blocks(page, text))}\n</section>'


def _document_of(page: str) -> str:
    """Return which document a page is in."""
    if page == _FRONT:
        return ""
    return page.partition("/")[0].removesuffix(".md")


def _anchor_of(page: str) -> str:
    """Return what a page is called in its document; files are told from the messages that they are named for."""
    stem = page.rpartition("/")[2].removesuffix(".md")
    return stem if stem[0].isupper() else f"file-{stem}"


def _document(name: str, sections: Iterable[str]) -> str:
    links = " ".join(f'<a href="{path_of(other)}">{other or "API reference"}</a>' for other in public.DOCS)
    title = f"Chatkit API: {name}" if name else "Chatkit API"
    return _HEAD.format(title=title, style=STYLE, links=links) + "\n".join(
        [*sections, "</main>", "</body>", "</html>", ""]
    )


def _blocks(page: str, text: str) -> Iterator[str]:
    """Yield the parts of a page: what stands between blank lines, and code as a whole."""
    for number, part in enumerate(text.split(_FENCE)):
        if number % 2:
            yield f"<pre><code>{escape(part.partition(chr(10))[2])}</code></pre>"
            continue
        for block in re.split(r"\n\n+", part.strip("\n")):
            if block:
                yield _block(page, block.splitlines())


def _block(page: str, lines: list[str]) -> str:
    marks, _, title = lines[0].partition(" ")
    match marks:
        case "#":
            return f"<h2>{_inline(page, title)}</h2>"
        case "##":
            return f'<h3 id="{_anchor(page, title)}">{_inline(page, title)}</h3>'
        case "|":
            return _table(page, lines)
        case "-":
            return "<ul>" + "".join(f"<li>{_inline(page, line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(page, ' '.join(lines))}</p>"


def _anchor(page: str, title: str) -> str:
    """Return what a heading is called: a message by its name, and a part of a method by the method as well."""
    stem = page.rpartition("/")[2].removesuffix(".md")
    is_method = stem[0].isupper() and not stem.endswith("Service")
    return f"{stem}-{title.lower()}" if is_method else title.lower()


def _table(page: str, lines: list[str]) -> str:
    head, _, *rows = ([_inline(page, cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    titles = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{titles}</tr>\n{body}\n</table></div>'


def _inline(page: str, text: str) -> str:
    """Return a line with its code and its links; what is none of these is text, whatever it looks like."""
    shown = []
    for number, piece in enumerate(text.replace("\\|", "|").split("`")):
        plain = escape(piece)
        if number % 2:
            shown.append(f"<code>{plain}</code>")
        else:
            shown.append(re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", lambda found: _link(page, found[1], found[2]), plain))
    return "".join(shown)


def _link(page: str, words: str, target: str) -> str:
    name, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), name))
    if path.startswith(".."):
        # Of the repository, which is not here.
        return words
    return f'<a href="{path_of(_document_of(path))}#{anchor or _anchor_of(path)}">{words}</a>'
