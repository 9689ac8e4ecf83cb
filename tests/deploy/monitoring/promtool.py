"""Prometheus's own judge of rules, where it is installed."""

import shutil
import subprocess

import pytest

_PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    _PROMTOOL is None, reason="promtool is not on the PATH: Debian's prometheus brings it"
)


def judge(*told: object) -> None:
    """Let promtool do what it is told, which must find nothing wrong."""
    ended = subprocess.run([str(_PROMTOOL), *map(str, told)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
