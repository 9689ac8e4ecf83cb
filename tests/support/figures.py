"""What a process tells Prometheus, as a test asks for it."""

from dataclasses import dataclass

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as parse


@dataclass(frozen=True)
class Figures:
    """The figures of a process at one time."""

    families: list[Metric]

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return the figure with this name and at least these labels, summed up; None where there is none."""
        found = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


async def figures_of(address: str) -> Figures:
    """Ask the process that tells its figures there."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{address}/metrics")
    return Figures(list(parse(answer.text)))
