"""operations/kubernetes fits the processes that it runs; whatever is changed in it so that it does not is found."""

import base64
import functools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.kubernetes.faults import faults
from tests.deploy.kubernetes.folder import KUSTOMIZATIONS, applied
from tests.deploy.kubernetes.kustomize import Json, build, containers, find, pods

# The oldest that all of it is for, and the newest that is known.
_VERSIONS = ("1.30", kubernetes_validate.latest_version())
_HASH = re.compile(r'"([a-z-]+)-[24-9bcdfghkmt]{10}"')
Change = Callable[[list[Json]], object]


@pytest.mark.parametrize("name", ["base", "production"])
def test_it_fits_the_processes(folder: Path, name: str) -> None:
    assert faults(applied(folder, name)) == []


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_kubernetes_knows_every_object_and_every_field(
    folder: Path, name: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would read megabytes anew for each object.
    monkeypatch.setattr(
        kubernetes_validate.utils, "schema_contents", functools.cache(kubernetes_validate.utils.schema_contents)
    )
    for one in build(folder / name):
        kubernetes_validate.validate(one, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**one, "of_no_version": 1}, version, strict=True)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_kustomize_builds_the_same(folder: Path, name: str) -> None:
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl is not installed: tests/deploy/kubernetes builds it by itself")
    command = [kubectl, "kustomize", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _plain(build(folder / name)) == _plain(list(yaml.safe_load_all(done.stdout)))


def _plain(objects: list[Json]) -> list[str]:
    """Return the objects as text, in one order, without hashes; how base64 is broken into lines makes no difference."""
    for one in objects:
        if one["kind"] == "Secret":
            one["data"] = {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
    return sorted(_HASH.sub(r'"\1"', json.dumps(one, sort_keys=True)) for one in objects)


def _container(name: str, kind: str = "Deployment") -> Callable[[list[Json]], Json]:
    return lambda objects: next(containers(find(objects, kind, name)))


def _pod(name: str) -> Callable[[list[Json]], Json]:
    return lambda objects: next(pods(find(objects, "Deployment", name)))["spec"]


def _tell(name: str, variable: str, value: str, kind: str = "Deployment") -> Change:
    return lambda objects: _container(name, kind)(objects)["env"].append({"name": variable, "value": value})


def _settings(**told: str) -> Change:
    return lambda objects: find(objects, "ConfigMap", "settings")["data"].update(told)


def _spec(kind: str, name: str, **changes: object) -> Change:
    return lambda objects: find(objects, kind, name)["spec"].update(changes)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_tell("users", "CHATKIT_RUN_DIR", "/run"), "users reads no CHATKIT_RUN_DIR"),
        (_tell("bootstrap", "CHATKIT_EDGE_PASSWORD", "x", "Job"), "bootstrap reads no CHATKIT_EDGE_PASSWORD"),
        (_settings(CHATKIT_LIMIT_ROOM_MEMBER="5"), "nobody reads CHATKIT_LIMIT_ROOM_MEMBER"),
        (_settings(CHATKIT_ROOMS_ADDRESS="rooms:50051"), "users looks for rooms at rooms:50051, where it does not"),
        (_settings(CHATKIT_FILES_HTTP_ADDRESS="files:50054"), "edge looks for files_http at files:50054, where"),
        (_settings(CHATKIT_DATABASE_PROCESSES="4"), "8 processes share the database"),
        (
            _settings(CHATKIT_JWKS_FILE="/run/secrets/chatkit/jwks.json"),
            "CHATKIT_JWKS_FILE at /run/secrets/chatkit/jwks",
        ),
        (_settings(NATS_SCHEME="http"), "users does not sign in to NATS as itself"),
        (_tell("users", "CHATKIT_LISTEN", "0.0.0.0:50052"), "users does not listen where its ports are"),
        (_tell("users", "CHATKIT_DATABASE_URL", "postgresql://postgres@x/chatkit"), "users does not use chatkit_users"),
        (_tell("rooms-migrate", "CHATKIT_MIGRATE_DATABASE_URL", "x", "Job"), "does not use chatkit_rooms_migrate"),
        (_tell("rooms", "CHATKIT_NATS_URL", "nats://users@nats:4222"), "rooms does not sign in to NATS as itself"),
        (_tell("files", "CHATKIT_NATS_URL", "nats://files@nats:4222"), "files has nothing to say at NATS"),
        (_tell("nats", "NATS_ROOMS_PASSWORD", "other"), "rooms has another password than NATS gives rooms"),
        (_tell("edge", "CHATKIT_SERVICE_KEYS_FILE", "/run/secrets/x"), "CHATKIT_SERVICE_KEYS_FILE at /run/secrets/x"),
        (_tell("messages", "CHATKIT_KEYS_FILE", ""), "messages has no use for /run/secrets/chatkit/keys.json"),
        (_tell("edge", "CHATKIT_DRAIN_SECONDS", "60"), "edge is killed while it waits"),
        (lambda all_: _container("users")(all_).update(args=["migrate"]), "users is not run as serve"),
        (lambda all_: _container("rooms")(all_).update(image="chatkit-users:1"), "rooms runs the image of another"),
        (lambda all_: _container("rooms")(all_).update(image="chatkit-rooms"), "or any version"),
        (lambda all_: _container("nats")(all_).update(image="nats"), "nats is not run by the official image of one"),
        (lambda all_: _container("bootstrap", "Job")(all_).update(command=["sh"]), "bootstrap runs something else"),
        (lambda all_: _container("users")(all_)["livenessProbe"]["grpc"].pop("service"), "livenessProbe of users does"),
        (
            lambda all_: _container("edge")(all_)["readinessProbe"]["httpGet"].update(path="/x"),
            "readinessProbe of edge",
        ),
        (lambda all_: _container("files")(all_).pop("securityContext"), "the container of files may do more"),
        (lambda all_: _container("files")(all_)["resources"].pop("limits"), "files has no bounds"),
        (lambda all_: _container("files")(all_).update(lifecycle={}), "files drains twice"),
        (lambda all_: _pod("nats")(all_)["securityContext"].pop("seccompProfile"), "nats may do more"),
        (lambda all_: _pod("nats")(all_)["securityContext"].update(fsGroup=1), "nats can't read its secrets"),
        (lambda all_: _pod("users")(all_).pop("automountServiceAccountToken"), "users is told of the cluster"),
        (lambda all_: _pod("users")(all_).update(terminationGracePeriodSeconds=12), "users is killed while it waits"),
        (_spec("Service", "users", clusterIP="10.0.0.1"), "do not see each replica of users"),
        (_spec("Service", "rooms", selector={"app.kubernetes.io/name": "users"}), "Service rooms does not find its"),
        (_spec("Service", "files", ports=[]), "the Service files shows {}"),
        (_spec("PodDisruptionBudget", "edge", maxUnavailable=0), "nobody counts the pods of edge"),
        (_spec("Deployment", "files", replicas=3), "files is told a number"),
        (_spec("NetworkPolicy", "nobody", policyTypes=["Ingress"]), "who is named nowhere may do everything"),
        (_spec("NetworkPolicy", "from-rooms", egress=[]), "not: rooms reaches users at 50051"),
        (
            _spec("NetworkPolicy", "to-users", ingress=[{"ports": [{"port": 50051}]}]),
            "users is open to anywhere at 50051",
        ),
        (_spec("NetworkPolicy", "to-postgres", podSelector={}), "edge goes out to anywhere at 5432"),
        (_spec("NetworkPolicy", "names", egress=[]), "not: backup goes out to kube-system at 53"),
    ],
)
def test_what_does_not_fit_is_found(folder: Path, change: Change, fault: str) -> None:
    objects = applied(folder, "base")
    change(objects)
    found = faults(objects)
    assert any(fault in line for line in found), found


def test_what_scales_is_counted(folder: Path) -> None:
    objects = applied(folder, "production")
    find(objects, "HorizontalPodAutoscaler", "files")["spec"]["maxReplicas"] += 1
    assert faults(objects) == ["27 processes share the database"]
