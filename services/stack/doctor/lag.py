"""Checks of figures that should be small: where one is not, a process has fallen behind with what it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.stack.doctor.findings import Finding, Level
from services.stack.figures.reading import Figures, figures_of, of_each

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class _Lag:
    """A figure that should be small, or, with `is_least`, large."""

    figure: str
    limit: float
    level: Level
    what: str
    advice: str
    is_least: bool = False

    def check(self, name: str, figures: Figures) -> Iterator[Finding]:
        value = figures.value(self.figure)
        if value is not None and (value < self.limit if self.is_least else value > self.limit):
            yield Finding(self.level, "lag", self.what.format(name=name, value=value), self.advice)


_LAGS = (
    _Lag(
        "chatkit_access_proof_age_seconds",
        10.0,
        Level.BROKEN,
        "{name} has not heard for {value:.0f} s that it knows all changes of access",
        "look whether rooms answers; past CHATKIT_ACCESS_HEARTBEAT_PATIENCE_SECONDS (30) streams end",
    ),
    _Lag(
        "chatkit_heads_age_seconds",
        15.0,
        Level.BROKEN,
        "{name} has not compared the ends of the logs with the database for {value:.0f} s",
        "look whether PostgreSQL answers it; what the bus loses is late by as much",
    ),
    _Lag(
        "chatkit_bus_connected",
        1.0,
        Level.ODD,
        "{name} is not connected to NATS",
        "look whether nats runs; until then what other replicas do reaches it within two seconds",
        is_least=True,
    ),
    _Lag(
        "chatkit_bus_waiting",
        1_000.0,
        Level.SOON,
        "{value:,.0f} announcements of {name} wait to be published",
        "look whether NATS is slow; from 10,000 on they are dropped, and what they tell comes later",
    ),
    _Lag(
        "chatkit_committer_waiting",
        1_000.0,
        Level.SOON,
        "{value:,.0f} writes of {name} wait to be stored",
        "look at PostgreSQL's load and its disk; from 10,000 on writes are refused",
    ),
    _Lag(
        "chatkit_presence_lease_age_seconds",
        15.0,
        Level.BROKEN,
        "{name} has not renewed its lease for {value:.0f} s, and others take its users for offline",
        "look whether PostgreSQL answers it",
    ),
    _Lag(
        "chatkit_deletions_oldest_seconds",
        _HOUR,
        Level.ODD,
        "a deletion that {name} knows of has run for {value:,.0f} s",
        "look into the logs of rooms and users for what puts it off: a service that does not answer, or refuses",
    ),
    _Lag(
        "chatkit_retention_age_seconds",
        6 * _HOUR,
        Level.ODD,
        "{name} has not come to the end of all rooms with retention for {value:,.0f} s",
        "look into its log for what failed; what is no longer kept stays until then",
    ),
    _Lag(
        "chatkit_collection_age_seconds",
        _HOUR,
        Level.ODD,
        "{name} has not removed the files that nobody needs for {value:,.0f} s",
        "look into its log for what failed; they take room until then",
    ),
)


def check_lag(metrics: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the figures of processes, by where they tell them, for what should be small."""
    for name, figures in of_each(metrics, figures_of).items():
        if figures is not None:
            for lag in _LAGS:
                yield from lag.check(name, figures)
