"""A migration that may have been run somewhere is never changed: what is wrong with it is for another one to mend."""

from hashlib import sha256

from tests.contract.descriptors import ROOT

_KNOWN = ROOT / "tests" / "contract" / "migrations.txt"


def test_every_migration_is_as_it_was_written_down() -> None:
    found = sorted((ROOT / "services").glob("*/migrations/versions/*.py"))
    now = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}" for path in found]
    told = "\n".join(("put a new one here, and take back a change of another:", *now))
    assert _KNOWN.read_text().splitlines() == now, told
