"""Writes Prometheus's targets of the suite on one machine from what `./chatkit services --json` prints."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit


def targets(processes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the targets: each with the service that it is a replica of, and its name in the place of its address."""
    return [
        {
            "targets": [urlsplit(one["metrics"]).netloc],
            "labels": {"service": one["name"].partition("-")[0], "instance": one["name"]},
        }
        for one in processes
        if one["metrics"]
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(targets(json.load(sys.stdin)), indent=2) + "\n")
