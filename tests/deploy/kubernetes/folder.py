"""A copy of operations/kubernetes with secrets of its own, as an operator has it."""

import copy
import functools
import shutil
from pathlib import Path

from services.stack import new_secrets
from tests.deploy.compose import ENV_SAMPLE, ROOT
from tests.deploy.kubernetes.kustomize import Json, build

FOLDER = "operations/kubernetes"
KUSTOMIZATIONS = ("base", "jobs", "production")


def copy_of(root: Path) -> Path:
    """Copy it and its samples to a new root, make secrets there, and return the folder."""
    for source in (ENV_SAMPLE, *(ROOT / "compose").glob("*.example.json")):
        target = root / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    own = shutil.ignore_patterns("secrets", "settings.env")
    shutil.copytree(ROOT / FOLDER / "settings", root / FOLDER / "settings", ignore=own)
    for name in (*KUSTOMIZATIONS, "collector"):
        shutil.copytree(ROOT / FOLDER / name, root / FOLDER / name)
    assert new_secrets.main_for_kubernetes(root) == 0
    return root / FOLDER


@functools.cache
def _applied(folder: Path, name: str) -> list[Json]:
    jobs = [one for one in build(folder / "jobs") if one["kind"] == "Job"]
    return [*build(folder / name), *jobs]


def applied(folder: Path, name: str) -> list[Json]:
    """Build the suite of `base` or `production`, with the jobs that are run before it; it is the caller's to change."""
    return copy.deepcopy(_applied(folder, name))
