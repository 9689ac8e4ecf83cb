"""The rules of Prometheus: what they name is there, and whoever is woken finds a page."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations.prometheus.targets import targets
from services.stack.roles import all_roles
from tests.checks.steps import ROOT
from tests.deploy.monitoring.expressions import RULES, rules, unknown
from tests.deploy.monitoring.promtool import judge, needs_promtool
from tests.support.databases import TestDatabase
from tests.support.told_figures import told_figures

_PAGES = ROOT / "operations" / "runbooks"
_SCRAPED = sorted(RULES.parent.glob("[!r]*.yaml"))
_ALERTS = [rule for rule in rules() if "alert" in rule]
_NAMED = pytest.mark.parametrize("alert", _ALERTS, ids=lambda rule: str(rule["alert"]))


async def test_every_figure_in_the_rules_is_told_by_a_suite(database: TestDatabase, tmp_path: Path) -> None:
    told = await told_figures(database, tmp_path)
    assert unknown((rule["expr"] for rule in rules()), told) == set()
    # A role of the database is called like a figure.
    assert unknown((page.read_text() for page in _PAGES.glob("*.md")), told) <= {*all_roles()}
    assert unknown(["rate(chatkit_fish_total[5m])", 'grpc_eels_bucket{le="0.3"}'], told) == {
        "chatkit_fish_total",
        "grpc_eels_bucket",
        "le=0.3",
    }


@_NAMED
def test_an_alert_says_how_urgent_it_is_and_names_a_page(alert: dict[str, Any]) -> None:
    assert alert.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "runbook_url"}
    page = ROOT / alert["annotations"]["runbook_url"]
    assert page.parent == _PAGES
    # Whoever opens it sees that it is the right one. Those of a promise have one name for two speeds.
    name = alert["alert"].removesuffix("Fast").removesuffix("Slow")
    assert name in page.read_text()


def test_every_page_is_of_an_alert_or_of_what_operators_do() -> None:
    named = {ROOT / alert["annotations"]["runbook_url"] for alert in _ALERTS}
    _, _, done = (ROOT / "operations" / "README.md").read_text().partition("## What operators do")
    of_operators = {_PAGES / name for name in re.findall(r"\(runbooks/([\w-]+\.md)\)", done)}
    assert named & of_operators == set()
    assert named | of_operators == set(_PAGES.glob("*.md"))


def test_the_lines_of_the_log_that_pages_name_are_written_somewhere() -> None:
    named = {word for page in _PAGES.glob("*.md") for word in re.findall(r"`([a-z]+_[a-z_]+)`", page.read_text())}
    code = "".join(path.read_text() for path in (ROOT / "services").rglob("*.py"))
    lines = {word for word in named if not word.startswith(("chatkit_", "pg_"))}
    # The others are of errors and of requests.
    assert {word for word in lines if f'"{word}"' not in code} <= {"error_id", "request_id"}
    assert "call_failed" in lines


def test_names_are_given_once_and_burns_look_at_two_windows() -> None:
    names = [alert["alert"] for alert in _ALERTS]
    assert len(names) == len(set(names))
    kept = [(rule["record"], rule["labels"]["slo"]) for rule in rules() if "record" in rule]
    assert len(kept) == len(set(kept))
    promises = {slo for _, slo in kept}
    burning = [alert["expr"] for alert in _ALERTS if "Burns" in alert["alert"]]
    assert len(burning) == 2 * len(promises)
    for expression in burning:
        assert expression.count("chatkit:slo_bad:") == expression.count("chatkit:slo_budget") == 2


def test_prometheus_finds_its_rules_and_the_ports_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for path in _SCRAPED:
        told = yaml.safe_load(path.read_text())
        assert told["rule_files"] == [RULES.name]
    jobs = [job for job in yaml.safe_load(_SCRAPED[-1].read_text())["scrape_configs"] if "dns_sd_configs" in job]
    for job in jobs:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        assert job["relabel_configs"] == [{"target_label": "service", "replacement": name}]
        listen = compose["services"][name]["environment"]["CHATKIT_METRICS_LISTEN"]
        assert listen == f"0.0.0.0:{found['port']}"


def test_the_targets_of_one_machine_are_what_services_prints() -> None:
    printed: list[dict[str, Any]] = [
        {"name": "nats", "metrics": ""},
        {"name": "messages-2", "metrics": "http://127.0.0.1:40001/metrics"},
        {"name": "edge", "metrics": "http://127.0.0.1:40002/stats/prometheus"},
    ]
    assert targets(printed) == [
        {"targets": ["127.0.0.1:40001"], "labels": {"service": "messages", "instance": "messages-2"}},
        {"targets": ["127.0.0.1:40002"], "labels": {"service": "edge", "instance": "edge"}},
    ]


@needs_promtool
def test_promtool_finds_nothing_wrong_and_wakes_whom_it_should() -> None:
    judge("check", "rules", RULES)
    # Not the configuration for clusters: Debian's promtool is built without Kubernetes.
    judge("check", "config", RULES.with_name("prometheus.yaml"))
    judge("test", "rules", Path(__file__).with_name("series.yaml"))
