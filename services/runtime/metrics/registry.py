"""The figures of a process, in a registry of its own: several services can be in one process, as they are in tests.

Most figures are kept by the parts that they are about, as plain numbers, and read when somebody asks: what is counted
on the way of every call and event must cost next to nothing. prometheus-client brings the rest: the families, the
forms in which they are told, and those of Python and the process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# When each figure was begun doubles what is told, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds that calls and their stages take.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# A number, or one for each combination of labels.
Read = Callable[[], float] | Callable[[], Mapping[tuple[str, ...], float]]
_Family = type[CounterMetricFamily] | type[GaugeMetricFamily]


class Metrics:
    """Declares figures and reads them; names and units are by Prometheus's conventions."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readings: list[_Reading] = []

    def of_process(self) -> None:
        """Tell of the process itself, too: its memory, processor time, descriptors, and Python's collector."""
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Declare what is counted where it happens."""
        return Counter(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """Declare what is distributed over buckets."""
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def gauge(self, name: str, text: str, read: Read, labels: Sequence[str] = ()) -> None:
        """Declare what goes up and down; `read` is called on the loop, whenever somebody asks."""
        self._read(GaugeMetricFamily, name, text, read, labels)

    def count(self, name: str, text: str, read: Read, labels: Sequence[str] = ()) -> None:
        """Declare what only grows and is kept elsewhere; `read` is called on the loop, whenever somebody asks."""
        self._read(CounterMetricFamily, name, text, read, labels)

    def take(self) -> None:
        """Read everything that is kept elsewhere; must be called where those who keep it run."""
        for reading in self._readings:
            reading.take()

    def _read(self, family: _Family, name: str, text: str, read: Read, labels: Sequence[str]) -> None:
        reading = _Reading(lambda: family(name, text, labels=labels), read)
        self._readings.append(reading)
        self.registry.register(reading)


class _Reading(Collector):
    """What was read last: it is told in another thread than the one in which it may be read."""

    def __init__(self, make: Callable[[], CounterMetricFamily | GaugeMetricFamily], read: Read) -> None:
        self._make = make
        self._read = read
        self._values: Sequence[tuple[Sequence[str], float]] = ()

    def take(self) -> None:
        """Read it."""
        value = self._read()
        self._values = list(value.items()) if isinstance(value, Mapping) else [((), value)]

    def describe(self) -> Iterable[Metric]:
        """Tell the name, which must be the only one of its kind."""
        return [self._make()]

    def collect(self) -> Iterable[Metric]:
        """Tell what was read."""
        family = self._make()
        for labels, value in self._values:
            family.add_metric(labels, value)
        return [family]
