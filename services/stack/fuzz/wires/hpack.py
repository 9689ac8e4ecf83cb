"""HPACK (RFC 7541) as far as a client needs it that asks for no table: headers of ASCII, none of them remembered."""

from collections.abc import Iterable, Iterator

_STATIC = [
    ":authority=",
    ":method=GET",
    ":method=POST",
    ":path=/",
    ":path=/index.html",
    ":scheme=http",
    ":scheme=https",
    ":status=200",
    ":status=204",
    ":status=206",
    ":status=304",
    ":status=400",
    ":status=404",
    ":status=500",
    "accept-charset",
    "accept-encoding=gzip,+deflate",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
]
# The characters by the lengths of their codes, which follow from that: the code is a canonical one.
_LENGTHS = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}
_HUFFMAN = 0x80
_INDEXED, _INCREMENTAL, _RESIZED = 0x80, 0x40, 0x20
_PADDING_BITS = 7


def _codes() -> dict[tuple[int, int], str]:
    codes: dict[tuple[int, int], str] = {}
    code = before = 0
    for length, characters in _LENGTHS.items():
        code <<= length - before
        before = length
        for character in characters:
            codes[length, code] = character
            code += 1
    return codes


_CODES = _codes()


def encoded(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write headers as they are, whatever they hold."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def decoded(block: bytes) -> Iterator[tuple[str, str]]:
    """Read headers; a ValueError for what needs a table, or is no ASCII."""
    place = 0
    while place < len(block):
        first = block[place]
        if first & _INDEXED:
            index, place = _number(block, place, 7)
            yield _entry(index)
        elif first & _RESIZED and not first & _INCREMENTAL:
            _, place = _number(block, place, 5)
        else:
            index, place = _number(block, place, 6 if first & _INCREMENTAL else 4)
            name = _entry(index)[0] if index else ""
            if not index:
                name, place = _read(block, place)
            value, place = _read(block, place)
            yield name, value


def _entry(index: int) -> tuple[str, str]:
    if not 0 < index <= len(_STATIC):
        raise ValueError(f"a header is number {index} of a table that nobody keeps")
    name, _, value = _STATIC[index - 1].partition("=")
    return name, value.replace("+", " ")


def _text(text: bytes) -> bytes:
    size, octets = len(text), bytearray()
    if size < _HUFFMAN - 1:
        return bytes((size,)) + text
    size -= _HUFFMAN - 1
    octets.append(_HUFFMAN - 1)
    while size >= _HUFFMAN:
        octets.append(size % _HUFFMAN + _HUFFMAN)
        size //= _HUFFMAN
    octets.append(size)
    return bytes(octets) + text


def _number(block: bytes, place: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[place] & most
    place += 1
    if value < most:
        return value, place
    shift = 0
    while place < len(block):
        octet = block[place]
        place += 1
        value += (octet & _HUFFMAN - 1) << shift
        shift += 7
        if not octet & _HUFFMAN:
            return value, place
    raise ValueError("a block of headers ends within a number")


def _read(block: bytes, place: int) -> tuple[str, int]:
    if place >= len(block):
        raise ValueError("a block of headers ends before a text")
    is_huffman = bool(block[place] & _HUFFMAN)
    size, place = _number(block, place, 7)
    text = block[place : place + size]
    return (_unpacked(text) if is_huffman else text.decode("latin-1")), place + size


def _unpacked(packed: bytes) -> str:
    characters: list[str] = []
    code = length = 0
    for octet in packed:
        for bit in range(7, -1, -1):
            code, length = code << 1 | octet >> bit & 1, length + 1
            character = _CODES.get((length, code))
            if character is not None:
                characters.append(character)
                code = length = 0
    if length > _PADDING_BITS:
        raise ValueError("a header has what is no ASCII")
    return "".join(characters)
