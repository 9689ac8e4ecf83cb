"""Requests in JSON: those that protobuf would write, and those that nothing should."""

import json
from copy import deepcopy
from typing import Any

from google.protobuf.json_format import Error, MessageToDict
from google.protobuf.message import Message

from services.stack.fuzz.making.chance import Chance

_STRANGE: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    [None],
    "",
    "x",
    "-1",
    "1e3",
    "NaN",
    "9223372036854775808",
    "\ud800",
    "\udc00\ud800",
    "a\0",
    0,
    -1,
    1.5,
    2**31,
    2**64,
    -(2**63) - 1,
    10**400,
    float("nan"),
    float("inf"),
    1e308,
    {"@type": "type.googleapis.com/google.protobuf.Any"},
)
_UNKNOWN_NAMES = ("unknown", "", "user_id", "roomid", "ROOMID", "\u0000", "$", "__proto__", "a" * 10_000, "requests")
_TEXTS = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b'"x"',
    b"[]",
    b"{",
    b"}",
    b"{}{}",
    b"{},",
    b"{a:1}",
    b"{'a':1}",
    b'{"a":1,}',
    b'{"a":}',
    b'{"a" 1}',
    b"// x\n{}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'{"\\u0072oomId":"lobby"}',
    b'{"roomId":"\\ud800"}',
    b'{"roomId":"\\x41"}',
    b'{"roomId":"\xff"}',
    b'{"roomId":"a\nb"}',
    b'{"roomId":"lobby","roomId":"attic"}',
    b'{"roomId":"lobby","room_id":"attic"}',
    b'{"pageSize":1e400}',
    b'{"pageSize":01}',
    b'{"pageSize":0x10}',
    b'{"pageSize":-0}',
    b'{"pageSize":1E2}',
    b'{"pageSize":' + b"9" * 5_000 + b"}",
    b'{"customData":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    b"[" * 10_000,
    b'{"a":' * 10_000,
    b'{"roomId":"' + b"x" * 200_000,
)


def text_of(chance: Chance, message: Message) -> bytes:
    """Return a message in JSON; an empty one where it has what JSON can't have."""
    try:
        tree = MessageToDict(message, preserving_proto_field_name=chance.of(20))
    except (Error, ValueError, TypeError):
        return b"{}"
    return _dumped(chance, tree)


def spoiled(chance: Chance, message: Message) -> bytes:
    """Return JSON in which something is wrong, or only unusual."""
    if chance.of(30):
        return chance.choice(_TEXTS)
    try:
        tree: Any = MessageToDict(message)
    except (Error, ValueError, TypeError):
        tree = {}
    for _ in range(chance.randint(1, 2)):
        _replace_one(chance, tree)
    text = _dumped(chance, tree)
    if chance.of(15):
        return text[: chance.randrange(len(text) + 1)]
    if chance.of(10):
        at = chance.randrange(len(text) + 1)
        return text[:at] + chance.randbytes(3) + text[at:]
    return text


def _replace_one(chance: Chance, tree: Any) -> None:
    places = list(_places(tree))
    if chance.of(30) or not places:
        if isinstance(tree, dict):
            tree[chance.choice(_UNKNOWN_NAMES)] = _strange(chance)
        return
    inner, key = chance.choice(places)
    inner[key] = _strange(chance)


def _strange(chance: Chance) -> Any:
    strange = deepcopy(chance.choice(_STRANGE))
    for _ in range(chance.choice((0, 0, 0, 1, 30, 300))):
        strange = {"k": strange} if chance.of(50) else [strange]
    return strange


def _places(tree: Any) -> list[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, value in items:
        found += [(tree, key), *_places(value)]
    return found


def _dumped(chance: Chance, tree: Any) -> bytes:
    is_ascii = chance.of(50)
    text = json.dumps(tree, ensure_ascii=is_ascii, indent=chance.choice((None, None, 1)))
    # Half a pair of surrogates has no bytes of its own but these, which are no UTF-8.
    return text.encode(errors="surrogatepass")
