"""What expressions of PromQL name: read well enough for those that are written here."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from services.runtime.metrics.distribution import SECONDS
from tests.checks.steps import ROOT

RULES = ROOT / "operations" / "prometheus" / "rules.yaml"
_NAME = re.compile(r"\b(?:chatkit|grpc|process|python|go)_\w+|\bchatkit:[\w:]+")
_OF_HISTOGRAM = re.compile(r"_(?:bucket|count|sum)$")
_BUCKET = re.compile(r'\ble="([^"]*)"')
_MATCHERS = re.compile(r'\{[^{}]*\}|"[^"]*"|\b(?:by|on|without) ?\([^)]*\)')
_BOUNDS = {f"{bound}" for bound in SECONDS}


def rules() -> list[dict[str, Any]]:
    """Return all rules, whatever group they are in."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def recorded() -> set[str]:
    """Return the names that rules give to what they compute."""
    return {rule["record"] for rule in rules() if "record" in rule}


def unknown(expressions: Iterable[str], told: dict[str, tuple[str, str]]) -> set[str]:
    """Return the figures and the buckets in expressions that nobody tells."""
    kinds = {name: kind for name, (kind, _) in told.items()}
    found = set()
    for expression in expressions:
        for name in _NAME.findall(_MATCHERS.sub(" ", expression)):
            of = _OF_HISTOGRAM.sub("", name)
            if name not in kinds.keys() | recorded() and kinds.get(of) != "histogram":
                found.add(name)
        found |= {f"le={bound}" for bound in _BUCKET.findall(expression) if bound not in _BOUNDS}
    return found
