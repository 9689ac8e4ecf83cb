"""Serialised messages and what frames them, spoiled."""

import gzip

from services.stack.fuzz.making.chance import Chance

_UNKNOWN_FIELDS = (
    b"\xf8\x7f\x01",
    b"\xfa\x7f\x03abc",
    b"\xfb\x7f\xfc\x7f",
    # A group that is not ended, one that was not begun, and wire types that do not exist.
    b"\x0b",
    b"\x0c",
    b"\x0e\x01",
    b"\x0f",
    # A tag of field 0, a varint of eleven bytes, a length past the end, one of nearly 2 GiB, and text that is no UTF-8.
    b"\x00\x01",
    b"\x08" + b"\xff" * 10 + b"\x01",
    b"\x0a\x7fabc",
    b"\x0a\xff\xff\xff\xff\x07",
    b"\x0a\x02\xc3\x28",
    b"\x0a\x03\xed\xa0\x80",
    b"\x12\x04\xf8\x88\x80\x80",
)
_NESTED = (2, 50, 101, 5_000)
_MOST_RANDOM = 2_000
_LOW_BITS = 0x7F


def spoiled(chance: Chance, body: bytes) -> bytes:  # noqa: PLR0911 - a table
    """Return a message as bytes in which something is wrong, or only unusual."""
    match chance.randrange(8):
        case 0:
            return body[: chance.randrange(len(body) + 1)]
        case 1:
            return _flipped(chance, body)
        case 2:
            at = chance.randrange(len(body) + 1)
            return body[:at] + chance.randbytes(chance.randint(1, 20)) + body[at:]
        case 3:
            start = chance.randrange(len(body) + 1)
            return body + body[start : start + chance.randrange(100)]
        case 4:
            return body + chance.choice(_UNKNOWN_FIELDS)
        case 5:
            return chance.choice(_UNKNOWN_FIELDS) + body
        case 6:
            return body + _nested(chance)
    return chance.randbytes(chance.choice((1, 10, 100, _MOST_RANDOM, 70_000)))


def framed(body: bytes) -> bytes:
    """Return a message as gRPC frames it."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def misframed(chance: Chance, body: bytes) -> bytes:  # noqa: PLR0911 - a table
    """Return a message in a frame that is not as it should be."""
    size = len(body)
    match chance.randrange(9):
        case 0:
            return b"\1" + size.to_bytes(4, "big") + body
        case 1:
            packed = gzip.compress(body, mtime=0)
            return b"\1" + len(packed).to_bytes(4, "big") + packed
        case 2:
            return chance.choice((b"\x02", b"\x80", b"\xff")) + size.to_bytes(4, "big") + body
        case 3:
            return b"\0" + (size + chance.choice((1, 100, 2**31, 2**32 - 1 - size))).to_bytes(4, "big") + body
        case 4:
            return b"\0" + max(0, size - chance.randint(1, 5)).to_bytes(4, "big") + body
        case 5:
            return framed(body) * 2
        case 6:
            return framed(body)[: chance.randrange(6)]
        case 7:
            return framed(body) + chance.randbytes(chance.randint(1, 6))
    return b""


def _flipped(chance: Chance, body: bytes) -> bytes:
    octets = bytearray(body)
    for _ in range(chance.randint(1, 4) if octets else 0):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(octets)


def _nested(chance: Chance) -> bytes:
    """Return messages within messages, or groups within groups."""
    depth, number = chance.choice(_NESTED), chance.randint(1, 5)
    if chance.of(30):
        return bytes((number << 3 | 3,)) * depth + bytes((number << 3 | 4,)) * depth
    nested = b""
    for _ in range(min(depth, 1_000)):
        nested = bytes((number << 3 | 2,)) + _varint(len(nested)) + nested
    return nested


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > _LOW_BITS:
        octets.append(value & _LOW_BITS | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
