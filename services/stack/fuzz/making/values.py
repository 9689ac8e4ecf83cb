"""Values of single fields: those that mean something, those around a limit, and those that somebody forgets."""

from collections.abc import Mapping, Sequence

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from services.runtime.contract.policies import Limits, permissions
from services.stack.fuzz.making.chance import Chance

# One, two, three and four bytes in UTF-8; a mark, and what turns the direction of text.
_CHARACTERS = ("x", "é", "\u0e01", "🫎", "\u0301", "\u202e")
ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "a\nb",
    "\r\n\r\n",
    "\x7f",
    "\x1b[2J",
    "\u0085",
    "\u00a0",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\U0010ffff",
    "\ue000",
    "\u202eabc",
    "e\u0301" * 20,
    "👨‍👩‍👧‍👦",
    "ﬃ",
    "İ",
    "ß",
    "%00%2F..",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "%s%n{0}${x}",
    "null",
    "-1",
    "1e999",
)
_HUGE = "a" * 100_000
_FORMED: Mapping[int, Sequence[str]] = {
    field_policy_pb2.FORMAT_URL: (
        "https://example.com/a?b#c",
        "http://[::1",
        "http://a:99999999/",
        "https://пример.рф/%zz",
        "HTTP://x",
        "javascript:alert(1)",
        "http://\u200b/",
        "//x",
    ),
    field_policy_pb2.FORMAT_MEDIA_TYPE: (
        "text/plain",
        'a/b; c="d"',
        "text/",
        "/plain",
        "text/plain;",
        "text/plain; charset=utf-8; x=y",
        'a/b; c="',
        "A" * 127 + "/x",
    ),
    field_policy_pb2.FORMAT_SHA256: ("0" * 64, "G" * 64, "f" * 63, "é" * 64),
    field_policy_pb2.FORMAT_PERMISSION: tuple(one.name for one in permissions()),
}
_RANGES: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS = (0.0, -0.0, 1.5, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
_MOST_BYTES = 300_000


class Values:
    """Chooses values; all that is random comes from `chance`."""

    def __init__(self, chance: Chance, limits: Limits) -> None:
        self._chance = chance
        self._limits = limits

    def text(self, policy: field_policy_pb2.FieldPolicy, known: Sequence[str]) -> str:
        """Choose a text for a field that may name something."""
        if known and self._chance.of(60):
            return self._chance.choice(known)
        formed = _FORMED.get(policy.format, ())
        limit = policy.max_chars or policy.counted_in
        match self._chance.randrange(4):
            case 0 if limit:
                return self._around(self._limits[limit])
            case 1 if formed:
                return self._chance.choice(formed)
            case 2 if known:
                return self._altered(self._chance.choice(known))
        return _HUGE if self._chance.of(2) else self._chance.choice((*ODD_TEXTS, "x", "hello", "Ünïcode"))

    def number(self, field: FieldDescriptor, policy: field_policy_pb2.FieldPolicy) -> int:
        """Choose a whole number that fits into the field."""
        least, most = _RANGES[field.cpp_type]
        limit = (
            policy.max_value or policy.min_value or (policy.page_size.maximum if policy.HasField("page_size") else 0)
        )
        edge = self._limits[limit] if limit else 10
        chosen = self._chance.choice((0, 1, 1, 2, 3, -1, edge - 1, edge, edge + 1, least, most, 2**31, -(2**31) - 1))
        return min(max(chosen, least), most)

    def real(self) -> float:
        """Choose a number with a fraction."""
        return self._chance.choice(_FLOATS)

    def octets(self, policy: field_policy_pb2.FieldPolicy) -> bytes:
        """Choose bytes, sometimes about as many as are allowed."""
        most = min(self._limits[policy.max_bytes], _MOST_BYTES) if policy.max_bytes else 1000
        return self._chance.randbytes(self._chance.choice((0, 1, 5, 5, 100, most, most + 1)))

    def option(self, values: EnumDescriptor) -> int:
        """Choose a value of an enum, sometimes one that the contract does not have."""
        numbers = [value.number for value in values.values]
        return self._chance.choice((*numbers, *numbers, *numbers, -1, max(numbers) + 1, 2**31 - 1))

    def count(self, policy: field_policy_pb2.FieldPolicy) -> int:
        """Choose how many items a list has."""
        most = self._limits[policy.max_items] if policy.max_items else 20
        return self._chance.choice((0, 1, 1, 1, 2, 3, most - 1, most, most + 1))

    def _around(self, limit: int) -> str:
        size = max(0, limit + self._chance.choice((-1, 0, 0, 1, 1, limit)))
        return self._chance.choice(_CHARACTERS) * size

    def _altered(self, text: str) -> str:
        if not text:
            return "x"
        at = self._chance.randrange(len(text))
        return text[:at] + self._chance.choice(("", "A", "=", "\0", "é", text)) + text[at + 1 :]
