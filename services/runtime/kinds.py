"""Enums whose numbers are stored or sent, so that a later release may know more of them."""

from enum import IntEnum
from typing import Self


class Kind(IntEnum):
    """An enum with UNKNOWN for 0, which is what every number is that this release does not know."""

    @classmethod
    def _missing_(cls, _value: object) -> Self:
        return cls(0)
