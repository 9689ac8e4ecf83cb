"""What the steps of `./chatkit test` are run with."""

import os
import subprocess
import sys

import pytest

from tests.checks.steps import ROOT

_ASKING = """
import sys
from tests.checks.steps import Step, run

run(Step("sample", (sys.executable, "-c", "import sys; print('writes', not sys.dont_write_bytecode)"), live=True), 60)
"""


@pytest.mark.parametrize("told", [{}, {"PYTHONDONTWRITEBYTECODE": "1"}], ids=["as usual", "told to write nothing"])
def test_what_tests_import_is_compiled_once(told: dict[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        (sys.executable, "-c", _ASKING), cwd=ROOT, env={**inherited, **told}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "writes True\n"
