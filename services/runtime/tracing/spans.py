"""Whoever makes spans of what was kept, if somebody is there who takes them.

The standard variables say so: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT is where spans go, in
OTLP over gRPC. Without them there are none, and not even the modules of OpenTelemetry are read.
"""

import os
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Protocol, cast

from services.runtime.release import Release
from services.runtime.tracing.trace import Trace

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Spans(Protocol):
    """Makes spans and sends them; all methods but `close` return at once."""

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
        """Make a span of what was kept, and one of each of its stages; its kind is one of OpenTelemetry's."""

    def close(self) -> None:
        """Send what was not sent yet, if that does not take long."""


def endpoint() -> tuple[str, str] | None:
    """Return which variable says where spans go, and what it says; None where none does, or another says not to."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    return next(((name, told) for name in _ENDPOINTS if (told := os.environ.get(name))), None)


def open_spans(service: str, release: Release) -> Spans | None:
    """Return who makes the spans of a process; None where the environment does not say where they go."""
    if endpoint() is None:
        return None
    return cast("Spans", resolve_name("services.runtime.tracing.otlp:open_otlp")(service, release))
