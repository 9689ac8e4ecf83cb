"""Inputs about nothing in particular: other paths of the edge, and bytes that are no HTTP."""

from services.stack.fuzz.inputs import Head
from services.stack.fuzz.making.chance import Chance
from services.stack.fuzz.wires.http2 import frame, greeting

PATHS = (
    "/",
    "/health",
    "/docs",
    "/docs/",
    "/docs/users",
    "/docs/errors",
    "/docs/../docs",
    "/openapi.json",
    "/descriptor.binpb",
    "/console/x",
    "/favicon.ico",
    "/robots.txt",
    "/.well-known/x",
    "/metrics",
    "/stats",
    "/config_dump",
    "/files",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/chatkit.messages.v1.MessagesService",
    "/chatkit.messages.v1.MessagesService/Unknown",
    "/chatkit.messages.v1.messagesservice/SendMessage",
    "/chatkit.internal.access.v1.AccessService/CheckAccess",
    "//",
    "/%2e%2e/",
    "/%zz",
    "/\u00e9",
    "/?" + "a" * 9_000,
    "/" + "a/" * 3_000,
)
_VERBS = (b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"BREW", b"get")
_ACCEPTS = (b"*/*", b"text/html", b"application/json", b"text/event-stream", b"x", b"q=x;;", b"")
_LINES = (
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/0.9\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/3.0\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    b"GET / HTTP/1.1\nhost: a\n\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nhttp2-settings: AAAA\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    b"x" * 100_000,
)
_ENDLESS = b"GET / HTTP/1.1\r\nhost: a\r\n"


def page(chance: Chance) -> tuple[str, Head]:
    """Return a path of the edge, and a request for it."""
    path = chance.choice(PATHS)
    head: list[tuple[bytes, bytes]] = [(b":method", chance.choice(_VERBS)), (b":path", path.encode())]
    if chance.of(50):
        head.append((b"accept", chance.choice(_ACCEPTS)))
    if chance.of(30):
        head.append((b"origin", chance.choice((b"http://a", b"null", b"\xff"))))
        head.append((b"access-control-request-method", b"POST"))
    return path, tuple(head)


def lines(chance: Chance) -> bytes:
    """Return bytes that are no HTTP/1.1, or hardly."""
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.choice((1, 30, 1_000, 40_000)))
        case 1:
            return _ENDLESS + b"".join(b"x-%d: y\r\n" % number for number in range(chance.choice((10, 2_000))))
    return chance.choice(_LINES)


def frames(chance: Chance) -> bytes:
    """Return a greeting of HTTP/2 and frames that nobody can make sense of."""
    said = greeting() if chance.of(90) else b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for _ in range(chance.randint(1, 20)):
        size = chance.choice((0, 1, 4, 5, 6, 8, 100, 16_384))
        stream = chance.choice((0, 1, 1, 2, 3, 2**31 - 1))
        said += frame(chance.randrange(12), chance.choice((0, 1, 4, 5, 8, 32, 255)), stream, chance.randbytes(size))
    return said
