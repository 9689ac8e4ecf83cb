"""The four services look alike, so whoever knows one knows all."""

import re

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from services.stack.roles import SERVICES
from tests.contract.descriptors import ROOT

ALWAYS = {"__init__.py", "__main__.py", "app.py", "settings.py", "README.md", "migrations"}
WITH_METHODS = {"model.py", "service.py", "servicer.py"}

every_service = pytest.mark.parametrize("service", SERVICES)


@every_service
def test_a_service_has_the_files_that_all_have(service: str) -> None:
    folder = ROOT / "services" / service
    present = {path.name for path in folder.iterdir()}
    assert present >= ALWAYS
    if present & WITH_METHODS:
        assert present >= WITH_METHODS
        assert list(folder.rglob("store.py"))


@every_service
def test_a_services_main_names_itself(service: str) -> None:
    text = (ROOT / "services" / service / "__main__.py").read_text()
    others = [other for other in SERVICES if other != service]
    assert f'main("{service}", {service.capitalize()}Settings, ' in text
    assert not any(f"services.{other}" in text for other in others)


@every_service
def test_migrations_are_one_chain_and_touch_only_their_own_schema(service: str) -> None:
    folder = ROOT / "services" / service / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert script.get_bases() == ["0001"]
    assert script.get_current_head() == revisions[0]
    assert len(revisions) == len(list((folder / "versions").glob("*.py")))
    others = "|".join(other for other in SERVICES if other != service)
    for path in (folder / "versions").glob("*.py"):
        assert re.search(rf"\b({others})\.\w", path.read_text()) is None, path


@every_service
def test_a_readme_tells_what_a_reader_looks_for(service: str) -> None:
    text = (ROOT / "services" / service / "README.md").read_text()
    assert text.startswith(f"# {service}\n")
    for heading in ("## Data", "## When something fails"):
        assert heading in text, f"{service} has no {heading}"
