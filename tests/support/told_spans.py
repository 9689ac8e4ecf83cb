"""Who takes what spans would be made of, for a test to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.runtime.tracing.trace import Trace


@dataclass(frozen=True, slots=True)
class ToldSpan:
    """What was told of a span, with the names of its stages at that time."""

    name: str
    kind: str
    trace: Trace
    stages: list[str]
    attributes: Mapping[str, Any]
    is_error: bool


class ToldSpans:
    """Keeps it all."""

    def __init__(self) -> None:
        self.told: list[ToldSpan] = []

    def tell(
        self,
        name: str,
        kind: str,
        trace: Trace,
        seconds: float,
        attributes: Mapping[str, Any],
        *,
        is_error: bool = False,
    ) -> None:
        """Take a span."""
        assert seconds >= 0
        self.told.append(ToldSpan(name, kind, trace, [stage.name for stage in trace.stages], attributes, is_error))

    def close(self) -> None:
        """Do nothing."""
