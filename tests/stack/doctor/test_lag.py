"""What a process has fallen behind with is said in a sentence each."""

import pytest

from services.stack.doctor.findings import Level
from services.stack.doctor.lag import _LAGS, check_lag
from tests.checks.steps import ROOT
from tests.support.serving import serving

_AWAY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("figure", "level", "what"),
    [
        ("chatkit_access_proof_age_seconds 12.4", Level.BROKEN, "messages has not heard for 12 s"),
        ("chatkit_heads_age_seconds 16", Level.BROKEN, "messages has not compared the ends of the logs"),
        ("chatkit_bus_connected 0", Level.ODD, "messages is not connected to NATS"),
        ("chatkit_bus_waiting 1200", Level.SOON, "1,200 announcements of messages wait to be published"),
        ("chatkit_committer_waiting 1200", Level.SOON, "1,200 writes of messages wait to be stored"),
        ("chatkit_presence_lease_age_seconds 16", Level.BROKEN, "messages has not renewed its lease for 16 s"),
        ("chatkit_deletions_oldest_seconds 4000", Level.ODD, "a deletion that messages knows of has run for 4,000 s"),
        ("chatkit_retention_age_seconds 30000", Level.ODD, "messages has not come to the end of all rooms"),
        ("chatkit_collection_age_seconds 4000", Level.ODD, "messages has not removed the files"),
    ],
)
def test_what_lags_behind_is_said(figure: str, level: Level, what: str) -> None:
    with serving({"/metrics": f"{figure}\n"}) as address:
        (finding,) = check_lag({"messages": address, "away": _AWAY})
    assert (finding.level, finding.check) == (level, "lag")
    assert finding.what.startswith(what)


def test_what_does_not_lag_is_not_said() -> None:
    well = "chatkit_access_proof_age_seconds 2\nchatkit_bus_connected 1\nchatkit_bus_waiting 10\n"
    with serving({"/metrics": well}) as address:
        assert list(check_lag({"messages": address})) == []


def test_figures_are_called_as_processes_call_them() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert [lag.figure for lag in _LAGS if f"| `{lag.figure}` |" not in page] == []
