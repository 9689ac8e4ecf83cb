"""What has happened between two readings: of each method, and of each process. Nothing here asks anybody.

A process that was started meanwhile, or did not answer at the beginning, has no rates yet: they are None.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.stack.figures.reading import Buckets, Figures, between, quantile, together
from services.stack.top.samples import EDGE, Reading, Sample

# Codes that say that the suite is at fault. Those who called are at fault for the others, and nobody for CANCELLED.
OURS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
NOBODYS = frozenset({"OK", "CANCELLED"})
_METHOD = ("grpc_service", "grpc_method")
_HALF, _MOST = 0.5, 0.99

# A service and a method of it.
_Counts = Mapping[tuple[str, ...], float]
_Pair = tuple[Figures, Figures]


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A method over all processes: calls and streams that arrived, also through the edge, and those that failed.

    The times are those of calls, and of streams to their first answer; None where there was none.
    """

    service: str
    method: str
    rate: float
    edge_rate: float
    errors_ours: float
    errors_theirs: float
    p50_seconds: float | None
    p99_seconds: float | None
    open_streams: int


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process; what it does not tell is None."""

    name: str
    state: str
    cpu_share: float | None = None
    memory_bytes: int | None = None
    loop_lag_p99_seconds: float | None = None
    open_streams: int | None = None
    database_connections: int | None = None
    database_waits: float | None = None
    bus_waiting: int | None = None
    bus_drops: float | None = None
    access_proof_age_seconds: float | None = None
    deliveries: float | None = None
    rooms_followed: int | None = None
    committer_waiting: int | None = None
    committer_wait_p99_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """What the edge carries: requests that ended, by what they answered, those that are open, and connections."""

    rate: float
    answers_4xx: float
    answers_5xx: float
    open_requests: int
    connections: int


@dataclass(frozen=True, slots=True)
class Interval:
    """All of it; methods are the busiest first, and those that nobody called and follows are left out."""

    seconds: float
    processes: list[ProcessRow]
    methods: list[MethodRow]
    edge: EdgeRow | None


def compare(before: Sample, after: Sample) -> Interval:
    """Tell what has happened from one reading to the next."""
    seconds = after.seconds - before.seconds
    pairs = {name: _pair(before.processes.get(name), reading) for name, reading in after.processes.items()}
    processes = [
        _process(name, before.processes.get(name), reading, pairs[name], seconds)
        for name, reading in after.processes.items()
    ]
    edge = pairs.pop(EDGE, None)
    services = [pair for pair in pairs.values() if pair is not None]
    told = [reading.figures for name, reading in after.processes.items() if name != EDGE and reading.figures]
    return Interval(seconds, processes, _methods(services, told, edge, seconds), _edge(edge, seconds))


def _pair(before: Reading | None, after: Reading) -> _Pair | None:
    """Return the figures of both readings, if they are of one and the same process."""
    if before is None or before.began != after.began or before.figures is None or after.figures is None:
        return None
    return before.figures, after.figures


def _state(reading: Reading) -> str:
    if reading.usage is None:
        return "down"
    if not reading.tells_figures:
        return "up"
    if reading.figures is None:
        return "silent"
    return "not ready" if reading.is_ready is False else "up"


def _process(name: str, before: Reading | None, after: Reading, pair: _Pair | None, seconds: float) -> ProcessRow:
    figures = after.figures or Figures()

    def now(figure: str) -> int | None:
        value = figures.value(figure)
        return None if value is None else round(value)

    def rate(figure: str) -> float | None:
        return None if pair is None else _rate(pair, figure, seconds)

    return ProcessRow(
        name,
        _state(after),
        cpu_share=_cpu_share(before, after, seconds),
        memory_bytes=after.usage.memory_bytes if after.usage else None,
        loop_lag_p99_seconds=_p99(pair, "chatkit_event_loop_lag_seconds"),
        # A process that nobody follows tells of no stream.
        open_streams=now("chatkit_streams_open") or 0 if "chatkit_build_info" in figures.samples else None,
        database_connections=now("chatkit_database_connections_in_use"),
        database_waits=rate("chatkit_database_waits_total"),
        bus_waiting=now("chatkit_bus_waiting"),
        bus_drops=rate("chatkit_bus_dropped_total"),
        access_proof_age_seconds=figures.value("chatkit_access_proof_age_seconds"),
        deliveries=rate("chatkit_deliveries_total"),
        rooms_followed=now("chatkit_rooms_followed"),
        committer_waiting=now("chatkit_committer_waiting"),
        committer_wait_p99_seconds=_p99(pair, "chatkit_committer_wait_seconds"),
    )


def _cpu_share(before: Reading | None, after: Reading, seconds: float) -> float | None:
    """Return the share of one core; children that have ended took what they had used with them."""
    if before is None or before.began != after.began or before.usage is None or after.usage is None:
        return None
    return max(0.0, after.usage.cpu_seconds - before.usage.cpu_seconds) / seconds


def _rate(pair: _Pair, figure: str, seconds: float, **labels: str) -> float | None:
    before, after = (figures.value(figure, **labels) for figures in pair)
    return None if after is None else (after - (before or 0.0)) / seconds


def _p99(pair: _Pair | None, figure: str) -> float | None:
    if pair is None:
        return None
    before, after = (figures.buckets(figure).get((), {}) for figures in pair)
    return quantile(_MOST, between(before, after))


def _methods(services: Sequence[_Pair], told: Sequence[Figures], edge: _Pair | None, seconds: float) -> list[MethodRow]:
    ended = _summed([_increase(pair, "grpc_server_handled_total", "grpc_code") for pair in services])
    begun = _summed([_increase(pair, "chatkit_streams_open") for pair in services])
    streams = _summed([figures.by("chatkit_streams_open", *_METHOD) for figures in told])
    through_edge = _increase(edge, "envoy_cluster_grpc_total") if edge else {}
    times, rows = _times(services), []
    for method in {key[:2] for key in (*ended, *streams)}:
        codes = {code: count for (*of, code), count in ended.items() if tuple(of) == method}
        row = MethodRow(
            service=method[0],
            method=method[1],
            # Streams that have begun and go on have arrived, too; those that had begun before have only ended.
            rate=(sum(codes.values()) + begun.get(method, 0.0)) / seconds,
            edge_rate=through_edge.get(method, 0.0) / seconds,
            errors_ours=sum(count for code, count in codes.items() if code in OURS) / seconds,
            errors_theirs=sum(count for code, count in codes.items() if code not in OURS | NOBODYS) / seconds,
            p50_seconds=quantile(_HALF, times.get(method, {})),
            p99_seconds=quantile(_MOST, times.get(method, {})),
            open_streams=round(streams.get(method, 0.0)),
        )
        if row.open_streams or any(codes.values()):
            rows.append(row)
    return sorted(rows, key=lambda row: (-row.rate, -row.open_streams, row.service, row.method))


def _increase(pair: _Pair, figure: str, *labels: str) -> _Counts:
    before, after = (figures.by(figure, *_METHOD, *labels) for figures in pair)
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def _summed(several: Sequence[_Counts]) -> _Counts:
    summed: dict[tuple[str, ...], float] = defaultdict(float)
    for counts in several:
        for key, count in counts.items():
            summed[key] += count
    return summed


def _times(services: Sequence[_Pair]) -> Mapping[tuple[str, ...], Buckets]:
    """Return how long calls of each method took in all processes, and streams to their first answer."""
    found: dict[tuple[str, ...], list[Buckets]] = defaultdict(list)
    for before, after in services:
        for figure in ("grpc_server_handling_seconds", "chatkit_stream_opening_seconds"):
            old = before.buckets(figure, *_METHOD)
            for method, buckets in after.buckets(figure, *_METHOD).items():
                found[method].append(between(old.get(method, {}), buckets))
    return {method: together(histograms) for method, histograms in found.items()}


def _edge(pair: _Pair | None, seconds: float) -> EdgeRow | None:
    if pair is None:
        return None
    public = {"envoy_http_conn_manager_prefix": EDGE}

    def answers(kind: str) -> float:
        return _rate(pair, "envoy_http_downstream_rq_xx", seconds, envoy_response_code_class=kind, **public) or 0.0

    def now(figure: str) -> int:
        return round(pair[1].value(figure, **public) or 0.0)

    return EdgeRow(
        _rate(pair, "envoy_http_downstream_rq_total", seconds, **public) or 0.0,
        answers("4"),
        answers("5"),
        now("envoy_http_downstream_rq_active"),
        now("envoy_http_downstream_cx_active"),
    )
