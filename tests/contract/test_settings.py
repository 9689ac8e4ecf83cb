"""A setting stands with the service that reads it, and in runtime where several do, read from the source."""

import re

import pytest

from services.runtime.settings import Settings
from tests.contract.sources import sources
from tests.support.settings import SETTINGS

_COMMON = set(Settings.model_fields)
# Read as `limits`, and as parts of the URLs beside them.
_READ_OTHERWISE = {"limit_overrides", "database_password", "migrate_database_password", "nats_password"}


def _text(part: str) -> str:
    return "".join(path.read_text() for path in sources(part))


def _reads(part: str, setting: str) -> bool:
    # The edge asks for the addresses of all by name.
    by_name = part == "edge" and setting.endswith("_address")
    return by_name or re.search(rf"(settings|self)\.{setting}\b", _text(part)) is not None


@pytest.mark.parametrize("setting", sorted(_COMMON - _READ_OTHERWISE))
def test_a_common_setting_is_read_by_runtime_or_by_several(setting: str) -> None:
    readers = [process for process in SETTINGS if _reads(process, setting)]
    assert _reads("runtime", setting) or len(readers) > 1, f"{setting} is read by {readers}"


@pytest.mark.parametrize("process", SETTINGS)
def test_what_a_process_adds_is_read_by_that_process_alone(process: str) -> None:
    own = set(SETTINGS[process].__annotations__)
    for setting in own:
        assert _reads(process, setting), f"{setting} is read by nobody"
    for other, kind in SETTINGS.items():
        if other != process:
            assert not own & (set(kind.model_fields) - _COMMON), f"{process} and {other} are told the same"
