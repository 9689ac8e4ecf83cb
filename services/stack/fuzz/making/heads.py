"""Headers: those that a call has, and what else somebody may send."""

from services.stack.fuzz.inputs import TOKEN, Face, Head
from services.stack.fuzz.making.chance import Chance

_TYPES = {
    Face.GRPC: b"application/grpc",
    Face.SERVICES: b"application/grpc",
    Face.WEB: b"application/grpc-web+proto",
    Face.JSON: b"application/json",
}
_TIMEOUTS = (b"1n", b"0S", b"1m", b"1S", b"99999999H", b"999999999S", b"-1S", b"1", b"S", b"1.5S", b"1x", b"\xff")
_CONTENT_TYPES = (
    b"",
    b"application/grpc+json",
    b"application/grpc;charset=utf-8",
    b"APPLICATION/GRPC",
    b"application/grpc-web",
    b"application/grpc-web-text",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"multipart/form-data; boundary=x",
    b"x" * 500,
    b"\x80/\x80",
)
_ODD: Head = (
    (b"grpc-encoding", b"gzip"),
    (b"grpc-encoding", b"unknown"),
    (b"grpc-accept-encoding", b"identity,gzip,unknown"),
    (b"content-encoding", b"gzip"),
    (b"accept-encoding", b"gzip;q=x"),
    (b"x-empty", b""),
    (b"x-bytes", b"\xc3\x28\xff"),
    (b"x-bin", b"a"),
    (b"data-bin", b"!!!"),
    (b"grpc-status-details-bin", b"!!!"),
    (b"grpc-trace-bin", b"AAAA"),
    (b"grpc-tags-bin", b"=" * 100),
    (b"grpc-message", b"%zz"),
    (b"grpc-previous-rpc-attempts", b"x"),
    (b"grpc-internal-encoding-request", b"x"),
    (b"traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
    (b"traceparent", b"zz"),
    (b"tracestate", b"a=" * 300),
    (b"baggage", b"x" * 9_000),
    (b"cookie", b"a=b; " * 500),
    (b"user-agent", b"x" * 20_000),
    (b"origin", b"null"),
    (b"x-request-id", b"x" * 300),
    (b"x-forwarded-for", b"127.0.0.1, x"),
    (b"x-chatkit-edge", b"x"),
    (b"x-chatkit-http-status", b"500"),
    (b"x-envoy-retry-on", b"5xx"),
    (b"x-envoy-upstream-rq-timeout-ms", b"1"),
    (b"x-envoy-original-path", b"/x"),
    (b"x-http-method-override", b"GET"),
    (b"expect", b"100-continue"),
    (b"range", b"bytes=0-"),
    (b"authorization", b"Bearer " + TOKEN),
    (b"authorization", b"Basic x"),
    (b"authorization", b"bearer"),
    (b"x" * 4_000, b"x" * 4_000),
    (b"x-large", b"x" * 40_000),
)
# What is no HTTP in either of its forms.
_WRONG: Head = (
    (b"", b"x"),
    (b"x y", b"x"),
    (b"X-Upper", b"x"),
    (b"te", b"gzip"),
    (b"x-control", b"\x01"),
    (b"connection", b"upgrade"),
    (b"upgrade", b"h2c"),
    (b"transfer-encoding", b"gzip, chunked"),
    (b"content-length", b"1"),
    (b"content-length", b"-1"),
    (b"content-length", b"99999999999999999999"),
    (b"host", b"a"),
    (b"x-line", b"a\nb: c"),
    (b"x-zero", b"a\0b"),
)
# At the port of a service the last one ends the process, as services/runtime/process/listener.py says.
_PATHS = (b"", b"x", b"*", b"//", b"/a b", b"http://x/", b"/\0", b"/\xff")
_MANY = 1_100


def of_call(face: Face, path: str, size: int) -> Head:
    """Return the headers of a call with a body of so many bytes, as a client of that face sends them."""
    own: Head = ((b":method", b"POST"), (b":path", path.encode()), (b"content-type", _TYPES[face]))
    own = (*own, (b"authorization", b"Bearer " + TOKEN))
    if face.is_http2:
        return ((b":scheme", b"http"), (b":authority", b"fuzz"), *own, (b"te", b"trailers"))
    return (*own, (b"content-length", str(size).encode()))


def hurried(chance: Chance, head: Head) -> Head:
    """Return headers that say how long the call may take."""
    return (*head, (b"grpc-timeout", chance.choice(_TIMEOUTS)))


def odd(chance: Chance, head: Head) -> Head:
    """Return headers of which some are unusual; the call is still HTTP."""
    match chance.randrange(6):
        case 0:
            return _with(head, b"content-type", chance.choice(_CONTENT_TYPES))
        case 1:
            return tuple(pair for pair in head if pair[0] not in {b"te", b"content-type"})
        case 2:
            return (*head, *((f"x-{number}".encode(), b"x") for number in range(_MANY)))
        case 3:
            return (*head, chance.choice(_ODD), chance.choice(_ODD))
    return (*head, chance.choice(_ODD))


def wrong(chance: Chance, head: Head, face: Face) -> Head:
    """Return headers that no HTTP has."""
    match chance.randrange(6):
        case 0:
            return (*head, (b":path", b"/other"))
        case 1:
            name = chance.choice(head)[0]
            return tuple(pair for pair in head if pair[0] != name)
        case 2:
            return _with(head, b":path", chance.choice(_PATHS[:-1] if face is Face.SERVICES else _PATHS))
        case 3:
            return _with(head, b":method", chance.choice((b"", b"GET", b"CONNECT", b"P\xff", b"x" * 1_000, b"PRI")))
    return (*head, chance.choice(_WRONG))


def _with(head: Head, name: bytes, value: bytes) -> Head:
    return tuple((key, value if key == name else old) for key, old in head)
