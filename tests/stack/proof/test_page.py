"""docs/proof.md names all that is done to a suite."""

from services.stack.chaos.kinds import KINDS
from tests.contract.descriptors import ROOT


def test_each_kind_of_disturbance_is_on_the_page() -> None:
    page = (ROOT / "docs" / "proof.md").read_text()
    assert [name for name in KINDS if f"`{name}`" not in page] == []
