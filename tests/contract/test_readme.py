"""What the README says of the contract is what the contract says."""

from services.runtime.contract import LimitRow, limits_table
from tests.contract.descriptors import ROOT


def _line(row: LimitRow) -> str:
    planned = " (planned)" if row.planned else ""
    return f"| {row.name}{planned} | {row.default:,} | {row.unit} | {row.description} |"


def test_the_table_of_limits_is_the_contracts() -> None:
    head = ["| limit | default | unit | what it bounds |", "| --- | --- | --- | --- |"]
    table = "\n".join([*head, *map(_line, limits_table({}))])
    assert table in (ROOT / "README.md").read_text(), f"README.md must have:\n{table}"
