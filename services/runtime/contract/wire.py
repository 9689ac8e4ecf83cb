"""Fields of protobuf messages as bytes: what was serialized once is put into other messages and never decoded again.

The concatenation of serialized messages is their merge, so a message can be put together from pieces.
"""

from collections.abc import Iterator

_VARINT = 0
_LENGTH_DELIMITED = 2
_LOW_BITS, _MORE = 0x7F, 0x80
_ONE_BYTE = [bytes((value,)) for value in range(_LOW_BITS + 1)]


def embedded(field: int, payload: bytes) -> bytes:
    """Return a field whose value is a serialized message, or bytes."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def counted(field: int, value: int) -> bytes:
    """Return a field whose value is an integer that is not negative; nothing for 0, which is what is not set."""
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def pieces(field: int, message: bytes) -> Iterator[bytes]:
    """Yield the values of a message that has nothing but one field of `embedded`; a ValueError for another one."""
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        size, place = _read_varint(message, place)
        if key != field << 3 | _LENGTH_DELIMITED or place + size > len(message):
            raise ValueError("the message has something else")
        yield message[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        value |= (byte & _LOW_BITS) << shift
        if not byte & _MORE:
            return value, place
        shift += 7
    raise ValueError("the message ends within a number")


def _varint(value: int) -> bytes:
    if value <= _LOW_BITS:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value > _LOW_BITS:
        encoded.append(value & _LOW_BITS | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
