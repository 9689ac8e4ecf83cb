"""HTTP by hand reads what those write who do it well."""

import random

import pytest
from hpack import Encoder

from services.stack.fuzz.wires import hpack


def _headers(chance: random.Random) -> list[tuple[bytes, bytes]]:
    own = [bytes(chance.choices(range(32, 127), k=chance.randrange(300))) for _ in range(3)]
    return [
        (b":status", b"200"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"cache-control", own[0]),
        (b"grpc-message", own[1]),
        (b"x-own", own[2]),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_headers_are_read_as_they_were_written(seed: int) -> None:
    headers = _headers(random.Random(seed))
    encoder = Encoder()
    encoder.header_table_size = 0
    texts = [(name.decode(), value.decode()) for name, value in headers]
    assert list(hpack.decoded(encoder.encode(headers))) == texts
    assert list(hpack.decoded(encoder.encode(headers, huffman=False))) == texts
    assert list(hpack.decoded(hpack.encoded(headers))) == texts


@pytest.mark.parametrize("block", [b"\xbe", b"\x00", b"\x00\x81\xff\x01x", b"\xff\xff", b"\x7f\xff"])
def test_a_block_that_says_nothing_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|block"):
        list(hpack.decoded(block))
