"""Who may import whom, read from the source."""

import sys
from fnmatch import fnmatch
from graphlib import TopologicalSorter

import pytest

from services.stack.roles import SERVICES
from tests.contract.descriptors import ROOT
from tests.contract.sources import ALLOWED, boxes, imports, sources

TRANSPORT = ("grpc", "grpc_health", "grpc_status")
SQL = ("sqlalchemy", "psycopg", "alembic")
# Who owns the database of a service; `*` is also of folders.
SQL_OWNERS = ("*store.py", "*tables.py", "migrations/*", "app.py", "log/*.py", "quotas.py")
# From the bottom: a layer imports what is below it, and nothing beside itself or above.
LAYERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "runtime": (
        (
            "__init__",
            "clock",
            "deadline",
            "fair_queue",
            "ids",
            "kinds",
            "problems",
            "release",
            "secret_settings",
            "seldom",
            "shown",
            "steps",
            "watched_files",
        ),
        ("contract", "logs", "tracing"),
        ("settings", "data", "metrics"),
        ("identity", "bus", "healthcheck"),
        ("peers", "streaming"),
        ("access",),
        ("calls",),
        ("erasure",),
        ("process",),
    ),
    "users": (
        ("__init__", "model", "settings", "tables"),
        ("protos", "recorded_changes"),
        ("store", "presence"),
        ("service", "deletions", "export"),
        ("servicer", "directory_servicer", "verifying", "transfer", "rotation"),
        ("app",),
        ("__main__",),
    ),
    "rooms": (
        ("__init__", "model", "settings", "quotas", "peers"),
        ("tables",),
        ("protos", "recorded_changes", "views_store", "fences_store"),
        ("store", "access", "roles", "roll_call"),
        ("service", "user_streams", "verifying", "deletions", "export", "transfer"),
        ("servicer", "descriptions_servicer", "retention_servicer", "rotation"),
        ("app",),
        ("__main__",),
    ),
    "messages": (
        ("__init__", "model", "settings"),
        ("frames", "peers"),
        ("drafts", "log", "starts", "streams"),
        ("heaviest_senders", "latest_rooms"),
        ("attachments", "fanout", "read_states", "retention"),
        ("service", "follow_rooms", "stream_access", "preparing", "verifying", "erasure", "export", "figures"),
        ("batch_send", "rotation", "sending", "sync", "transfer"),
        ("servicer",),
        ("app",),
        ("__main__",),
    ),
    "files": (
        ("__init__", "model", "settings"),
        ("tables", "refusals", "peers"),
        ("store",),
        ("content",),
        ("service", "protos"),
        ("servicer", "http", "collection", "erasure", "export"),
        ("app", "verifying"),
        ("__main__",),
    ),
    "edge": (
        ("__init__", "console", "deployment", "envoy", "public"),
        ("rendering", "settings", "crowding"),
        ("farewell", "keys", "reference", "reflection"),
        ("ending",),
        ("process",),
        ("__main__",),
    ),
    "stack": (
        (
            "__init__",
            "argument_types",
            "commit",
            "new_secrets",
            "progress",
            "requirements",
            "roles",
            "setup_venv",
            "terminal",
            "trouble",
        ),
        ("figures", "own_folder", "proof", "shipped"),
        ("export_folder", "exports", "home", "nats", "releases", "schemas"),
        ("replay", "spoken", "traces"),
        ("bootstrap", "cli", "sign_in"),
        ("seed", "__main__"),
        ("machine", "screen"),
        ("chaos", "doctor", "fuzz", "top", "transfer"),
        ("commands",),
    ),
}


def of(imported: str, *packages: str) -> bool:
    """Tell whether a module belongs to one of the packages."""
    return any(imported == package or imported.startswith(f"{package}.") for package in packages)


def test_every_part_of_services_has_its_rule() -> None:
    parts = {path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists()}
    assert parts == set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_itself_and_what_it_may(part: str) -> None:
    for path in sources(part):
        for imported in imports(path):
            if of(imported, "services", "chatkit"):
                assert of(imported, f"services.{part}", *ALLOWED[part]), f"{path} imports {imported}"


@pytest.mark.parametrize("part", ALLOWED)
def test_nothing_that_is_shipped_imports_tests_or_what_only_tests_need(part: str) -> None:
    for path in sources(part):
        for imported in imports(path):
            assert not of(imported, "benchmarks", "tests", "pytest", "hypothesis", "grpc_testing", "grpc_tools"), path


def test_only_who_owns_it_knows_sql() -> None:
    for service in SERVICES:
        for path in sources(service):
            name = str(path.relative_to(ROOT / "services" / service))
            if not any(fnmatch(name, owner) for owner in SQL_OWNERS):
                for imported in imports(path):
                    assert not of(imported, *SQL), f"{path} imports {imported}"


def test_services_leave_grpc_to_the_runtime() -> None:
    for service in SERVICES:
        for path in sources(service):
            for imported in imports(path):
                assert not of(imported, *TRANSPORT) or (service, path.parent.name) == ("files", "http"), path


@pytest.mark.parametrize("part", ALLOWED)
def test_no_folder_imports_itself_by_way_of_others(part: str) -> None:
    TopologicalSorter(boxes(part)).prepare()


@pytest.mark.parametrize("part", LAYERS)
def test_no_arrow_goes_up(part: str) -> None:
    height = {box: number for number, layer in enumerate(LAYERS[part]) for box in layer}
    arrows = boxes(part)
    assert set(arrows) - set(height) - {"migrations"} == set(), "every folder and module has its layer"
    for box, others in arrows.items():
        for other in others:
            assert height[other] < height[box], f"{part}: {box} imports {other}"


_OF_MODELS = ("runtime/ids.py", "runtime/kinds.py")


@pytest.mark.parametrize("path", [*_OF_MODELS, *(f"{service}/model.py" for service in SERVICES)])
def test_a_model_needs_only_the_standard_library_and_what_ids_and_kinds_are(path: str) -> None:
    for imported in imports(ROOT / "services" / path):
        is_own = of(imported, "services.runtime.ids", "services.runtime.kinds") and path not in _OF_MODELS
        assert is_own or imported.partition(".")[0] in sys.stdlib_module_names, f"{path} imports {imported}"


def test_clients_import_no_service() -> None:
    for path in (ROOT / "clients").rglob("*.py"):
        for imported in imports(path):
            assert not of(imported, "services", "tests"), f"{path} imports {imported}"


def test_no_test_is_imported() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for imported in imports(path):
            assert not any(name.startswith("test_") for name in imported.split(".")), f"{path} imports {imported}"
