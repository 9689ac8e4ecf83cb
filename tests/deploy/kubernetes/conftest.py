"""What the tests of operations/kubernetes start from."""

from pathlib import Path

import pytest

from tests.deploy.kubernetes.folder import copy_of


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the folder with secrets of its own, which nobody changes."""
    return copy_of(tmp_path_factory.mktemp("kubernetes"))
