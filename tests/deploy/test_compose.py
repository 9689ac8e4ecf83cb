"""compose.yaml fits the processes that it runs; whatever is changed in it so that it does not is found."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.messages.settings import MessagesSettings
from services.runtime.bus.subjects import SUBJECTS
from services.runtime.settings import PREFIX, Settings
from services.stack import bootstrap
from services.stack.roles import SERVICES
from tests.deploy.compose import (
    COMPOSE,
    ENV_SAMPLE,
    NO_SECRETS,
    ROOT,
    SETTINGS_SAMPLE,
    Json,
    load,
    read_env,
    sample,
    variables,
)
from tests.deploy.faults import faults
from tests.support.settings import SETTINGS

Change = Callable[[Json], object]


def test_it_fits_the_processes() -> None:
    assert faults(sample()) == []


def _change(service: str, **environment: str) -> Change:
    return lambda services: services[service]["environment"].update(environment)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_change("users", CHATKIT_LISTENS="0.0.0.0:1"), "users reads no CHATKIT_LISTENS"),
        (_change("rooms", CHATKIT_RUN_DIR="/run"), "rooms reads no CHATKIT_RUN_DIR"),
        (_change("messages", CHATKIT_LIMIT_ROOM_MEMBER="5"), "messages reads no CHATKIT_LIMIT_ROOM_MEMBER"),
        (_change("bootstrap", CHATKIT_EDGE_PASSWORD="x"), "bootstrap reads no CHATKIT_EDGE_PASSWORD"),
        (_change("rooms", CHATKIT_LISTEN="0.0.0.0:50055"), "users looks for rooms at rooms:50052, where it does not"),
        (_change("edge", CHATKIT_ROOMS_ADDRESS="users:50051"), "edge looks for rooms at users:50051, where it does"),
        (lambda services: services["messages"]["environment"].pop("CHATKIT_USERS_ADDRESS"), "where users is"),
        (_change("messages", CHATKIT_MESSAGES_ADDRESS="messages:50053"), "messages has no use for messages's address"),
        (_change("edge", CHATKIT_FILES_HTTP_ADDRESS="files:50054"), "edge looks for files_http at files:50054, where"),
        (_change("files", CHATKIT_BLOB_DIR="/run/files"), "the content of files is on no volume"),
        (lambda services: services["files"].pop("volumes"), "content of files is on no volume"),
        (_change("users", CHATKIT_DATABASE_URL="postgresql://postgres:x@postgres:5432/chatkit"), "use chatkit_users"),
        (_change("bootstrap", CHATKIT_ROOMS_PASSWORD="other"), "rooms has another password"),
        (_change("users", CHATKIT_DATABASE_PROCESSES="3"), "4 processes share"),
        (lambda services: services["rooms"]["deploy"].update(replicas="2"), "5 processes share"),
        (lambda services: services["rooms"]["environment"].pop("CHATKIT_JWKS_FILE"), "rooms is not told CHATKIT_JWKS"),
        (lambda services: services["edge"]["environment"].pop("CHATKIT_TLS_CA_FILE"), "edge is not told CHATKIT_TLS_C"),
        (lambda services: services["edge"]["environment"].pop("CHATKIT_METRICS_LISTEN"), "reaches the figures of edge"),
        (_change("rooms", CHATKIT_METRICS_LISTEN="127.0.0.1:0"), "nobody reaches the figures of rooms"),
        (_change("users", CHATKIT_S3_BUCKET="b"), "users reads no CHATKIT_S3_BUCKET"),
        (lambda services: services["users"].update(volumes=[]), "users has no place for files of its own"),
        (lambda services: services["edge"].pop("env_file"), "edge is not told the deployment's other settings"),
        (lambda services: services["nats"].pop("healthcheck"), "nobody knows when nats is healthy"),
        (lambda services: services["nats"]["volumes"].pop(), "NATS does not know the rights"),
        (_change("users", CHATKIT_DATABASE_CONNECTIONS="60"), "does not admit so many"),
        (_change("users", CHATKIT_NATS_URL="nats://users:sample@bus:4222"), "users's bus is not where NATS is"),
        (_change("rooms", CHATKIT_NATS_URL="nats://users:other@nats:4222"), "rooms signs in to NATS as users"),
        (_change("rooms", CHATKIT_NATS_URL="nats://rooms:other@nats:4222"), "another password than NATS gives rooms"),
        (_change("nats", NATS_USERS_PASSWORD="sample-nats_users"), "another password than NATS gives users"),
        (_change("files", CHATKIT_NATS_URL="nats://files:x@nats:4222"), "files has nothing to say at NATS"),
        (lambda services: services["nats"].update(networks=["outside"]), "rooms shares no network with NATS"),
        (lambda services: services["nats"].pop("volumes"), "NATS is not run with its configuration"),
        (lambda services: services["nats"].pop("command"), "is not run with its configuration"),
        (lambda services: services["users"].update(command=["run"]), "users is run with run"),
        (lambda services: services["edge"].update(command=["migrate"]), "edge is run with migrate"),
        (lambda services: services["rooms"].update(image="chatkit-users"), "rooms runs the image of another"),
        (lambda services: services["edge"]["build"]["args"].pop("COMMIT"), "edge does not say which commit"),
        (lambda services: services["rooms"]["build"]["args"].pop("PYTHON_IMAGE"), "rooms is built from another image"),
        (lambda services: services["postgres"].update(image="postgres"), "one major version"),
        (lambda services: services["nats"].update(image="nats:2-alpine@sha256:0"), "nats is not the official"),
        (lambda services: services["postgres"].update(ports=["5432:5432"]), "postgres is published"),
        (lambda services: services["edge"].update(ports=["80:8081"]), "not where the edge listens"),
        (lambda services: services["users"]["networks"].append("outside"), "users reaches the outside"),
        (lambda services: services["edge"]["networks"].append("database"), "the edge reaches PostgreSQL"),
        (
            lambda services: services["files"]["depends_on"].pop("files-migrate"),
            "files does not wait for files",
        ),
        (lambda services: services.pop("files-migrate"), "files-migrate is missing"),
        (lambda services: services["edge"].update(depends_on={"users": {}}), "would be stopped before them"),
        (lambda services: services["users"].update(healthcheck={"disable": True}), "users has no health check"),
        (lambda services: services["users"].update(stop_grace_period="10s"), "users is killed while"),
        (lambda services: services["edge"].update(stop_grace_period="45s"), "edge is killed while"),
        (lambda services: services["edge"].update(secrets=[]), "edge is given other secrets"),
        (lambda services: services["edge"].update(read_only=False), "edge may do more"),
        (lambda services: services["edge"].update(restart="no"), "edge is not restarted"),
        (lambda services: services["edge"].update(tmpfs=[]), "can't write its run folder"),
    ],
)
def test_what_does_not_fit_is_found(change: Change, fault: str) -> None:
    compose = sample()
    change(compose["services"])
    found = faults(compose)
    assert any(fault in line for line in found), found


def test_messages_are_kept_for_ever_unless_the_environment_says_for_how_long() -> None:
    told = read_env(ENV_SAMPLE)
    without = {name: value for name, value in told.items() if name != "CHATKIT_RETENTION_DAYS"}
    for environ, days in ((told, None), (without, None), ({**told, "CHATKIT_RETENTION_DAYS": "30"}, 30)):
        environment = load(environ)["services"]["messages"]["environment"]
        assert MessagesSettings(retention_days=environment["CHATKIT_RETENTION_DAYS"]).retention_days == days


def test_ones_own_messages_are_unread_unless_the_environment_says_otherwise() -> None:
    told, name = read_env(ENV_SAMPLE), "CHATKIT_UNREAD_WITHOUT_OWN_MESSAGES"
    without = {variable: value for variable, value in told.items() if variable != name}
    for environ, expected in ((told, False), (without, False), ({**told, name: "true"}, True)):
        value = load(environ)["services"]["messages"]["environment"][name]
        assert MessagesSettings(unread_without_own_messages=value).unread_without_own_messages is expected


def test_a_bucket_elsewhere_can_be_reached_by_files_alone() -> None:
    told = {**read_env(ENV_SAMPLE), "BUCKET_IS_INSIDE": "false"}
    assert faults(load(told)) == ["files reaches the outside"]


def test_images_are_pinned_in_one_place_and_have_tags_without_it() -> None:
    told, digest = read_env(ENV_SAMPLE), f"@sha256:{'0' * 64}"
    images = {name: f"{value}{digest}" for name, value in told.items() if name.endswith("_IMAGE")}
    pinned = load({**told, **images})
    assert faults(pinned) == []
    used = {
        part.get("build", {}).get("args", {}).get("PYTHON_IMAGE", part["image"]) for part in pinned["services"].values()
    }
    assert used == set(images.values())
    assert load({name: value for name, value in told.items() if name not in images}) == sample()


def test_replicas_are_numbers_of_the_environment() -> None:
    told = read_env(ENV_SAMPLE)
    more = {"USERS_REPLICAS": "2", "MESSAGES_REPLICAS": "3", "CHATKIT_DATABASE_PROCESSES": "7"}
    assert faults(load({**told, **more})) == []
    without = {name: value for name, value in told.items() if name not in NO_SECRETS}
    assert faults(load(without)) == []


def _known() -> dict[str, str]:
    """Return what the processes read, limits aside, with the value that holds when nobody says another."""
    # Where the edge has a value of its own, the sample has that of the services, and says the other one.
    kinds: tuple[type[Settings], ...] = (*SETTINGS.values(), Settings)
    known = {name: field for kind in kinds for name, field in kind.model_fields.items()}
    fields = {f"{PREFIX}{name.upper()}": str(field.default) for name, field in known.items()}
    fields.pop(f"{PREFIX}LIMIT_OVERRIDES")
    return {**fields, **dict.fromkeys((bootstrap.DATABASE, *bootstrap.SECRETS), "")}


def _offered() -> dict[str, str]:
    return dict(re.findall(r"^# (CHATKIT_\w+)=(.*)$", SETTINGS_SAMPLE.read_text(), re.MULTILINE))


def _left_out() -> set[str]:
    """Return the names in the list at the end of the sample of the other settings."""
    listed = SETTINGS_SAMPLE.read_text().partition("# Left out")[2]
    return set(re.findall(r"CHATKIT_\w+", listed)) & _known().keys()


def test_every_variable_that_the_processes_read_is_told_offered_or_left_out_by_name() -> None:
    told = {name for part in sample()["services"].values() for name in part.get("environment", {})}
    told = {name for name in told if name.startswith(PREFIX)}
    assert sorted([*told, *_offered(), *_left_out()]) == sorted(_known())


def test_what_is_offered_is_what_holds_without_it() -> None:
    known = _known()
    assert _offered() == {name: known[name] for name in _offered()}
    # So nothing is changed by a copy of the sample.
    assert read_env(SETTINGS_SAMPLE) == {}


def test_the_sample_has_every_variable_and_no_other() -> None:
    assert variables(COMPOSE.read_text()) == set(read_env(ENV_SAMPLE))


def test_whoever_has_no_secrets_yet_is_told_what_to_do() -> None:
    with pytest.raises(AssertionError, match="is not set"):
        load({})
    assert COMPOSE.read_text().count(":?run python3 -m services.stack.new_secrets first}") == 2 + len(SUBJECTS)


def test_no_default_is_a_secret() -> None:
    for name, value in read_env(ENV_SAMPLE).items():
        assert value.startswith("sample-") or name in NO_SECRETS, name
    assert (
        len(SERVICES) * 2
        == sum(name.endswith("_PASSWORD") and not name.startswith("NATS_") for name in read_env(ENV_SAMPLE)) - 1
    )


def test_compose_itself_takes_it(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", f"--env-file={ENV_SAMPLE}", f"--file={COMPOSE}", "config", "--quiet"]
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed: tests/deploy reads compose.yaml by itself")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
