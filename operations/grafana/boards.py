"""What each dashboard shows. Units are Grafana's names for them."""

from operations.grafana.writing import Board, Panel

_EACH = "{{instance}}"


def _rate(figure: str, by: str, of: str = "") -> str:
    return f"sum by ({by}) (rate({figure}{of}[$__rate_interval]))"


def _each(figure: str, of: str = "") -> dict[str, str]:
    """Return a curve for each process: how quickly what is counted grows."""
    return {_EACH: _rate(figure, "instance", of)}


def _now(figure: str, of: str = "") -> dict[str, str]:
    """Return a curve for each process: how much there is."""
    return {_EACH: f"{figure}{of}"}


def _quantiles(histogram: str, of: str = "") -> dict[str, str]:
    """Return the curves of three quantiles, of all processes together."""
    buckets = f"sum by (le) (rate({histogram}_bucket{of}[$__rate_interval]))"
    return {f"p{round(100 * part)}": f"histogram_quantile({part}, {buckets})" for part in (0.5, 0.95, 0.99)}


def _basics(of: str) -> list[Panel]:
    """Return what there is to see of every service."""
    return [
        Panel("Calls by code", "ops", {"{{grpc_code}}": _rate("grpc_server_handled_total", "grpc_code", of)}),
        Panel("Refusals by reason", "ops", {"{{reason}}": _rate("chatkit_errors_total", "reason", of)}),
        Panel("How long calls take", "s", _quantiles("grpc_server_handling_seconds", of)),
        Panel("Open streams", "short", {_EACH: f"sum by (instance) (chatkit_streams_open{of})"}),
        Panel("How late the loop is", "s", _quantiles("chatkit_event_loop_lag_seconds", of)),
        Panel("Cores in use", "short", _each("process_cpu_seconds_total", of)),
        Panel("Memory", "bytes", _now("process_resident_memory_bytes", of)),
    ]


def _of_service(name: str, *more: Panel) -> Board:
    of = f'{{service="{name}"}}'
    return Board(name, f"Chatkit: {name}", [*_basics(of), *more])


def _rounds(work: str) -> Panel:
    return Panel(f"Rounds of {work}", "short", {"{{outcome}}": _rate(f"chatkit_{work}_rounds_total", "outcome")})


_DELETIONS = [
    Panel("Deletions that run", "short", {"{{service}}": "max by (service) (chatkit_deletions_running)"}),
    Panel("Age of the oldest deletion", "s", {"{{service}}": "max by (service) (chatkit_deletions_oldest_seconds)"}),
]

BOARDS = (
    Board(
        "overview",
        "Chatkit: overview",
        [
            Panel(
                "Budgets in use: 1 is as fast as a month allows",
                "short",
                {"{{slo}}": "chatkit:slo_bad:ratio_rate1h / on(slo) chatkit:slo_budget"},
            ),
            Panel(
                "Processes that answer",
                "short",
                {"{{service}}": 'sum by (service) (up{job=~"chatkit.*"})'},
                is_stat=True,
            ),
            Panel("Streams", "short", {"{{service}}": "sum by (service) (chatkit_streams_open)"}),
            Panel("Calls", "ops", {"{{service}}": _rate("grpc_server_handled_total", "service")}),
            Panel("Refusals", "ops", {"{{service}} {{reason}}": _rate("chatkit_errors_total", "service, reason")}),
            Panel("From a write's arrival until it is stored", "s", _quantiles("chatkit_committer_wait_seconds")),
            Panel("Age of events when streams take them", "s", _quantiles("chatkit_delivery_age_seconds")),
            Panel("Until a stream's first answer", "s", _quantiles("chatkit_stream_opening_seconds")),
            Panel(
                "Processes of each release",
                "short",
                {"{{service}} {{version}}": "count by (service, version) (chatkit_build_info)"},
                is_stat=True,
            ),
        ],
    ),
    _of_service(
        "users",
        Panel("Users online", "short", _now("chatkit_presence_users")),
        Panel("Age of changes when streams take them", "s", _quantiles("chatkit_presence_change_age_seconds")),
        Panel("Age of the lease", "s", _now("chatkit_presence_lease_age_seconds")),
        Panel(
            "Lapses, and what was taken from others",
            "short",
            {
                "lapses": "sum(rate(chatkit_presence_lapses_total[$__rate_interval]))",
                "taken": "sum(rate(chatkit_presence_reaped_total[$__rate_interval]))",
            },
        ),
        *_DELETIONS,
    ),
    _of_service("rooms", *_DELETIONS, _rounds("deletions")),
    _of_service(
        "messages",
        Panel("Writes that wait", "short", _now("chatkit_committer_waiting")),
        Panel("Rooms that somebody has locked", "short", _now("chatkit_committer_busy_rooms")),
        Panel("Writes in one transaction", "short", _quantiles("chatkit_committer_batch_writes")),
        Panel("Transactions", "s", _quantiles("chatkit_committer_transaction_seconds")),
        Panel("Events that retention removes", "ops", _each("chatkit_retention_events_removed_total")),
        Panel("Age of the last look of retention", "s", _now("chatkit_retention_age_seconds")),
        _rounds("retention"),
    ),
    _of_service(
        "files",
        Panel("Files that are collected", "ops", _each("chatkit_collection_files_removed_total")),
        Panel("Bytes of them", "Bps", _each("chatkit_collection_bytes_removed_total")),
        Panel("Age of the last collection", "s", _now("chatkit_collection_age_seconds")),
        _rounds("collection"),
    ),
    Board(
        "fan-out",
        "Chatkit: fan-out",
        [
            Panel("Age of events when streams take them", "s", _quantiles("chatkit_delivery_age_seconds")),
            Panel("Events of logs queued for streams", "ops", _each("chatkit_deliveries_total")),
            Panel("Entries handed to followers", "ops", _each("chatkit_entries_taken_total")),
            Panel("Rooms that are followed", "short", _now("chatkit_rooms_followed")),
            Panel("Gaps that were read", "ops", _each("chatkit_gaps_healed_total")),
            Panel("Age of the last look at the logs", "s", _now("chatkit_heads_age_seconds")),
            Panel("Connected to NATS", "short", _now("chatkit_bus_connected")),
            Panel("Announcements that wait", "short", _now("chatkit_bus_waiting")),
            Panel("Announcements that were dropped", "ops", _each("chatkit_bus_dropped_total")),
            Panel("Frames over the bus", "ops", _each("chatkit_bus_sent_total")),
            Panel("Age of the proof of access", "s", _now("chatkit_access_proof_age_seconds")),
            Panel(
                "Calls let in by kept answers, and questions to rooms",
                "ops",
                {
                    "kept": "sum(rate(chatkit_access_hits_total[$__rate_interval]))",
                    "asked": "sum(rate(chatkit_access_questions_total[$__rate_interval]))",
                },
            ),
        ],
    ),
    Board(
        "database",
        "Chatkit: database",
        [
            Panel("Connections that calls hold", "short", _now("chatkit_database_connections_in_use")),
            Panel("Calls that had to wait for one", "ops", _each("chatkit_database_waits_total")),
            Panel("Callers who wait, on average", "short", _each("chatkit_database_wait_seconds_total")),
            Panel("Transactions of the committer", "s", _quantiles("chatkit_committer_transaction_seconds")),
            Panel("Connections lost", "ops", _each("chatkit_committer_disconnections_total")),
            Panel("Commits of unknown outcome", "ops", _each("chatkit_committer_doubts_total")),
            Panel("Age of the last look at the logs", "s", _now("chatkit_heads_age_seconds")),
            Panel("Age of the presence lease", "s", _now("chatkit_presence_lease_age_seconds")),
            Panel(
                "Refusals for the database's sake",
                "ops",
                {"{{service}}": _rate("chatkit_errors_total", "service", '{reason="DATABASE_UNAVAILABLE"}')},
            ),
        ],
    ),
)
