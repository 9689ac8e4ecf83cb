"""The figures of a process, in a registry of its own: several services can be in one process, as they are in tests.

Figures are kept by the parts that they are about, as plain numbers, and read when somebody asks: what is counted
on the way of every call and event must cost next to nothing. prometheus-client brings the rest: the families, the
forms in which they are told, and those of Python and the process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.runtime.metrics.distribution import SECONDS, Distribution, Distributions

# When each figure was begun doubles what is told, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A number, or one for each combination of labels.
Read = Callable[[], float] | Callable[[], Mapping[tuple[str, ...], float]]
# What a family of prometheus-client is told, one tuple for each combination of labels.
_Samples = Sequence[tuple[Any, ...]]
_Family = type[CounterMetricFamily] | type[GaugeMetricFamily]


class Metrics:
    """Declares figures and reads them; names and units are by Prometheus's conventions."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._figures: list[_Figure] = []

    def of_process(self) -> None:
        """Tell of the process itself, too: its memory, processor time, descriptors, and Python's collector."""
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def histogram(self, name: str, text: str, bounds: Sequence[float] = SECONDS) -> Distribution:
        """Declare what is distributed over buckets, and return what takes it."""
        return self.histograms(name, text, (), bounds)[()]

    def histograms(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float] = SECONDS
    ) -> Distributions:
        """Declare one for each combination of labels, and return them."""
        distributions = Distributions(bounds)
        self._add(lambda: HistogramMetricFamily(name, text, labels=labels), distributions.samples)
        return distributions

    def kept_histogram(self, name: str, text: str, kept: Distribution) -> None:
        """Declare what is distributed over buckets and is kept elsewhere."""
        self._add(lambda: HistogramMetricFamily(name, text), lambda: [kept.sample(())])

    def gauge(self, name: str, text: str, read: Read, labels: Sequence[str] = ()) -> None:
        """Declare what goes up and down; `read` is called on the loop, whenever somebody asks."""
        self._read(GaugeMetricFamily, name, text, read, labels)

    def count(self, name: str, text: str, read: Read, labels: Sequence[str] = ()) -> None:
        """Declare what only grows and is kept elsewhere; `read` is called on the loop, whenever somebody asks."""
        self._read(CounterMetricFamily, name, text, read, labels)

    def take(self) -> None:
        """Read everything that is kept elsewhere; must be called where those who keep it run."""
        for figure in self._figures:
            figure.take()

    def _read(self, family: _Family, name: str, text: str, read: Read, labels: Sequence[str]) -> None:
        def samples() -> _Samples:
            value = read()
            return list(value.items()) if isinstance(value, Mapping) else [((), value)]

        self._add(lambda: family(name, text, labels=labels), samples)

    def _add(self, make: Callable[[], Any], read: Callable[[], _Samples]) -> None:
        figure = _Figure(make, read)
        self._figures.append(figure)
        self.registry.register(figure)


class _Figure(Collector):
    """A figure as it was read last: it is told in another thread than the one in which it may be read."""

    def __init__(self, make: Callable[[], Any], read: Callable[[], _Samples]) -> None:
        self._make = make
        self._read = read
        self._samples: _Samples = []

    def take(self) -> None:
        """Read it."""
        self._samples = self._read()

    def describe(self) -> Iterable[Metric]:
        """Tell the name, which must be the only one of its kind."""
        return [self._make()]

    def collect(self) -> Iterable[Metric]:
        """Tell what was read."""
        family = self._make()
        for sample in self._samples:
            family.add_metric(*sample)
        return [family]
