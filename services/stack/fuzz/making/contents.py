"""Inputs about the content of files over HTTP: signed URLs, and those that look like one."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.stack.fuzz.inputs import Head
from services.stack.fuzz.making.chance import Chance

_RANGES = (
    b"bytes=0-",
    b"bytes=0-0",
    b"bytes=-1",
    b"bytes=-0",
    b"bytes=1-0",
    b"bytes=4-99999999999999999999",
    b"bytes=99999999999999999999-",
    b"bytes=0-1,3-4",
    b"bytes=" + b"0-0," * 500,
    b"bytes= 0 - 1",
    b"bytes=a-b",
    b"octets=0-1",
    b"bytes",
    b"=",
    b"\xff",
)
_TAGS = (b"*", b'"x"', b'W/"x"', b'"' * 100, b'"a", "b"', b"\xff", b"")
_DATES = (b"Thu, 01 Jan 1970 00:00:00 GMT", b"x", b"")
_TYPES = (b"text/plain", b"TEXT/PLAIN; charset=x", b"image/png", b"", b"x", b"multipart/form-data; boundary=x", b"\xff")
_QUERIES = (
    "",
    "?",
    "?expires=1&signature=x",
    "?expires=" + "9" * 400 + "&signature=x",
    "?expires=-1&signature=",
    "?expires=1&expires=2&signature=%00",
    "?signature=%ff%fe&expires=%F0%9F%AB%8E",
    "?" + "a=b&" * 2_000,
)
_NAMES = (
    "",
    "x",
    "..",
    "../x",
    "%2e%2e",
    "%00",
    "%ff",
    "a/b",
    "é",
    "0" * 36,
    "00000000-0000-0000-0000-000000000000",
    "x" * 5_000,
)
_VERBS = (
    b"GET",
    b"GET",
    b"GET",
    b"HEAD",
    b"PUT",
    b"PUT",
    b"POST",
    b"DELETE",
    b"PATCH",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
)
_SIZES = (0, 1, 4, 5, 5, 6, 100, 70_000)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The head and the body of a request, and what is to be known of it."""

    head: Head
    body: bytes
    how: str
    is_ended: bool
    is_http: bool


def exchange(chance: Chance, urls: Sequence[str]) -> Exchange:
    """Make a request about content."""
    verb, path, how = chance.choice(_VERBS), _path(chance, urls), "example"
    head: list[tuple[bytes, bytes]] = [(b":method", verb), (b":path", path.encode("latin-1", "replace"))]
    for name, values in ((b"range", _RANGES), (b"if-none-match", _TAGS), (b"if-range", (*_TAGS, *_DATES))):
        if chance.of(30):
            head.append((name, chance.choice(values)))
            how = "headers"
    body = chance.randbytes(chance.choice(_SIZES)) if verb in {b"PUT", b"POST", b"PATCH"} else b""
    if verb != b"PUT":
        head += [(b"content-length", str(len(body)).encode())] if body else []
        return Exchange(tuple(head), body, how, is_ended=True, is_http=_is_plain(path) and verb != b"CONNECT")
    return _upload(chance, tuple(head), body, how, is_plain=_is_plain(path))


def _upload(chance: Chance, head: Head, body: bytes, how: str, *, is_plain: bool) -> Exchange:
    if chance.of(40):
        head = (*head, (b"content-type", chance.choice(_TYPES)))
    if chance.of(10):
        head = (*head, (b"content-range", chance.choice((b"bytes 0-4/5", b"bytes */5", b"x"))))
    if chance.of(10):
        head = (*head, (b"expect", b"100-continue"))
    match chance.randrange(6):
        case 0:
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:3], body[3:]) if part)
            return Exchange(
                (*head, (b"transfer-encoding", b"chunked")), chunks + b"0\r\n\r\n", "chunks", True, is_plain
            )
        case 1:
            length = str(len(body) + chance.choice((1, 1_000, 10**12))).encode()
            return Exchange((*head, (b"content-length", length)), body, "too short", chance.of(50), False)
        case 2:
            bad = chance.choice(
                (b"-1\r\n", b"zz\r\n", b"ffffffffffffffff1\r\n", b"5\r\nab", b"\r\n", b"1;x=" + b"y" * 9_000)
            )
            return Exchange((*head, (b"transfer-encoding", b"chunked")), bad, "chunks", True, False)
    return Exchange((*head, (b"content-length", str(len(body)).encode())), body, how, True, is_plain)


def _path(chance: Chance, urls: Sequence[str]) -> str:
    if urls and chance.of(60):
        return chance.choice(urls) + chance.choice(("", "", "", "&attachment=true", "&attachment=%00", "&expires=1"))
    if urls and chance.of(40):
        url = chance.choice(urls)
        at = chance.randrange(len(url))
        return url[:at] + chance.choice("A0=&/%") + url[at + 1 :]
    return "/files/" + chance.choice(_NAMES) + chance.choice(_QUERIES)


def _is_plain(path: str) -> bool:
    return path.isascii() and " " not in path
