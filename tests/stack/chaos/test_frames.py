"""What NATS sends is taken for what it is, however it is cut into pieces, and only messages get lost on the way."""

import pytest

from services.stack.chaos.frames import Frames, Mangling

_TEXTS = ("one", "", "a\r\nMSG b", "four", "5", "6")
_MESSAGES = [f"MSG chatkit.x 1 {len(text)}\r\n{text}\r\n".encode() for text in _TEXTS]
_HEADED = b"HMSG chatkit.x 1 reply 12 17\r\nNATS/1.0\r\n\r\nhello\r\n"
_SENT = [b"INFO {}\r\n", *_MESSAGES[:3], b"PING\r\n", _HEADED, *_MESSAGES[3:], b"+OK\r\n"]
_OTHERS = [frame for frame in _SENT if not frame.startswith((b"MSG", b"HMSG"))]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_frames_are_found_in_pieces_of_any_size(size: int) -> None:
    frames, bytes_sent = Frames(), b"".join(_SENT)
    found = [one for at in range(0, len(bytes_sent), size) for one in frames.feed(bytes_sent[at : at + size])]
    assert found == [(frame not in _OTHERS, frame) for frame in _SENT]


def _mangled(how: str, seed: int) -> list[bytes]:
    mangling = Mangling()
    mangling.begin(how, seed)
    found = list(mangling.feed(b"".join(_SENT)))
    return [*found, *mangling.begin("", 0)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_told_to_is_done_to_messages_alone_and_the_same_for_a_seed(seed: int) -> None:
    assert _mangled("", seed) == _SENT
    for how in ("drop", "double", "reorder"):
        assert _mangled(how, seed) == _mangled(how, seed)
        assert [frame for frame in _mangled(how, seed) if frame in _OTHERS] == _OTHERS
    kept = _mangled("drop", seed)
    assert kept == [frame for frame in _SENT if frame in kept]
    twice = _mangled("double", seed)
    assert list(dict.fromkeys(twice)) == _SENT
    assert sorted(_mangled("reorder", seed)) == sorted(_SENT)


def test_each_is_seen_to_happen() -> None:
    lengths = {how: {len(_mangled(how, seed)) for seed in range(20)} for how in ("drop", "double")}
    assert min(lengths["drop"]) < len(_SENT) < max(lengths["double"])
    assert any(_mangled("reorder", seed) != _SENT for seed in range(20))
