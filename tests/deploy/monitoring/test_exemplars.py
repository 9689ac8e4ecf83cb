"""The real Prometheus, where it is installed, finds the trace of a slow call in the figures of a process."""

import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from operations.grafana.picture.scraping import prometheus
from services.runtime.metrics.port import MetricsPort
from services.runtime.metrics.registry import Metrics
from tests.support.eventually import until

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_CONFIGURATION = """\
global: {{scrape_interval: 100ms}}
scrape_configs:
  - job_name: chatkit
    static_configs: [{{targets: ["{address}"]}}]
"""


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not on the PATH: Debian's package of this name brings it"
)
async def test_prometheus_keeps_the_examples_of_buckets(tmp_path: Path) -> None:
    metrics = Metrics()
    seconds = metrics.histogram("chatkit_bites_seconds", "How long fish took")
    seconds.observe(3.0)
    seconds.exemplify(3.0, _TRACE)
    port = MetricsPort("127.0.0.1:0", metrics, lambda: True)
    (tmp_path / "prometheus.yaml").write_text(_CONFIGURATION.format(address=port.address))
    found: list[dict[str, Any]] = []
    try:
        async with (
            prometheus(tmp_path, "--enable-feature=exemplar-storage") as address,
            httpx.AsyncClient(trust_env=False) as client,
        ):

            async def is_found() -> bool:
                asked: dict[str, str | float] = {
                    "query": "chatkit_bites_seconds_bucket",
                    "start": time.time() - 600,
                    "end": time.time(),
                }
                answer = await client.get(f"http://{address}/api/v1/query_exemplars", params=asked)
                found[:] = answer.json()["data"]
                return bool(found)

            await until(is_found)
    finally:
        await port.close()
    (series,) = found
    assert series["seriesLabels"]["le"] == "5.0"
    assert [(one["labels"], one["value"]) for one in series["exemplars"]] == [({"trace_id": _TRACE}, "3")]
