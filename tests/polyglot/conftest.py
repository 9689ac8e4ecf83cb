"""The contract as somebody gets it who copies the folder."""

from pathlib import Path

import pytest

from tests.polyglot.contract import Contract


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """Copy the contract into a folder of its own."""
    return Contract.copy(tmp_path / "contract" / "protos")
