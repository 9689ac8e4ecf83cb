"""What is wrong with a compose file, compared with the processes that it runs; each check yields sentences."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from services.edge import public
from services.edge.process import LONGEST_BEYOND_SETTINGS
from services.runtime.bus.subjects import SUBJECTS
from services.runtime.contract.policies import ENVIRONMENT_PREFIX, Limits
from services.runtime.settings import Settings, secret_settings
from services.stack import bootstrap, nats
from services.stack.roles import SERVICES, role_names
from tests.deploy.compose import ROOT, Json
from tests.deploy.dockerfile import stages
from tests.support.settings import SETTINGS

PROCESSES = (*SERVICES, "edge")
_HTTP = "_http"
# Beside `nats.CONFIGURATION`, which it includes.
NATS_CONFIGURATION = ROOT / "compose" / "nats.conf"
_SECRETS = "/run/secrets/"
_OFFICIAL = ("postgres", "nats")
_DIGEST = r"(@sha256:[0-9a-f]{64})?"
_PREFIX = "CHATKIT_"
_DATABASE_PORT, _NATS_PORT = 5432, 4222
# PostgreSQL's own defaults, which the image keeps.
_MOST_CONNECTIONS, _RESERVED_CONNECTIONS = 100, 3
_DONE, _HEALTHY = "service_completed_successfully", "service_healthy"
# What the sample says of the commit, which is nothing.
_COMMIT = ""
# Filled from other variables, so that it is none itself.
_NOT_TOLD = {"limit_overrides"}


def faults(compose: Json) -> list[str]:
    """List everything that is wrong; without one of its parts the rest can't be looked at."""
    missing = list(_parts(compose["services"]))
    return missing or [fault for check in _CHECKS for fault in check(compose["services"], compose)]


def _parts(services: Json) -> Iterator[str]:
    expected = {"postgres", "nats", "bootstrap", *PROCESSES, *(f"{name}-migrate" for name in SERVICES)}
    yield from (f"{name} is missing or unknown" for name in expected ^ set(services))


def _is_job(name: str) -> bool:
    return name == "bootstrap" or name.endswith("-migrate")


def _variables(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        known = _known_variables(name)
        told = part.get("environment", {})
        yield from (f"{name} reads no {key}" for key in told if key.startswith(_PREFIX) and key not in known)


def _known_variables(name: str) -> set[str]:
    if name == "bootstrap":
        return {bootstrap.DATABASE, *bootstrap.SECRETS, *(f"{secret}_FILE" for secret in bootstrap.SECRETS)}
    settings = SETTINGS[name.removesuffix("-migrate")] if name not in _OFFICIAL else Settings
    fields = {_PREFIX + field.upper() for field in settings.model_fields.keys() - _NOT_TOLD}
    fields |= {f"{_PREFIX}{secret.upper()}_FILE" for secret in secret_settings(settings)}
    return fields | {ENVIRONMENT_PREFIX + row.name for row in Limits().rows}


def _told_to_all(services: Json, compose: Json) -> Iterator[str]:
    """Look for what is told to some processes only, although others read it too."""
    told = {name: services[name]["environment"] for name in PROCESSES}
    for variable in set().union(*told.values()):
        field = variable.removeprefix(_PREFIX).lower()
        if field.endswith("_address") or field == "nats_url":
            continue
        yield from (
            f"{name} is not told {variable}" for name in PROCESSES if _reads(name, field) != (variable in told[name])
        )


@cache
def _reads(name: str, field: str) -> bool:
    """Say whether a process reads a setting, from its source and from what all services have."""
    folders = [name] if name == "edge" else [name, "runtime"]
    text = "".join(path.read_text() for folder in folders for path in (ROOT / "services" / folder).rglob("*.py"))
    used = f"(settings|self)\\.({field}{'|tls' if field.startswith('tls_') else ''})\\b"
    return re.search(used, text) is not None


def _addresses(services: Json, compose: Json) -> Iterator[str]:
    for name in PROCESSES:
        told = services[name]["environment"]
        found = {key.removeprefix(_PREFIX)[: -len("_ADDRESS")].lower() for key in told if key.endswith("_ADDRESS")}
        yield from (f"{name} is not told where {peer} is" for peer in peers_of(name) - found)
        yield from (f"{name} has no use for {peer}'s address" for peer in found - peers_of(name))
        for peer in found:
            address = told[f"{_PREFIX}{peer.upper()}_ADDRESS"]
            host, _, port = address.partition(":")
            listener = "CHATKIT_HTTP_LISTEN" if peer.endswith(_HTTP) else "CHATKIT_LISTEN"
            listens = services.get(host, {}).get("environment", {}).get(listener, "")
            if host != peer.removesuffix(_HTTP) or listens != f"0.0.0.0:{port}":
                yield f"{name} looks for {peer} at {address}, where it does not listen"
            elif not set(services[name]["networks"]) & set(services[host]["networks"]):
                yield f"{name} shares no network with {peer}"


def peers_of(name: str) -> set[str]:
    """Say whom a process calls, from its source; the edge is told of every service."""
    if name == "edge":
        return {*public.CLUSTERS, *SERVICES, public.CONTENT_CLUSTER}
    source = (ROOT / "services" / name / "app.py").read_text()
    asks_rooms = {"rooms"} if "server.rooms_access()" in source else set()
    return set(re.findall(r"settings\.(\w+)_address", source)) | asks_rooms


def _databases(services: Json, compose: Json) -> Iterator[str]:
    bootstrapped = services["bootstrap"]["environment"]
    for service in SERVICES:
        urls = (
            (service, "CHATKIT_DATABASE_URL", role_names(service)[0]),
            (f"{service}-migrate", "CHATKIT_MIGRATE_DATABASE_URL", role_names(service)[1]),
        )
        for name, variable, role in urls:
            url = urlsplit(services[name]["environment"].get(variable, ""))
            if (url.scheme, url.hostname, url.port) != ("postgresql", "postgres", _DATABASE_PORT):
                yield f"{name}'s database is not where PostgreSQL is"
            if (url.username, url.path) != (role, f"/{bootstrapped[bootstrap.DATABASE]}"):
                yield f"{name} does not use {role}"
            if url.password != bootstrapped[bootstrap.password_variable(role)]:
                yield f"{name} has another password than bootstrap gives {role}"
    superuser = urlsplit(bootstrapped[bootstrap.SUPERUSER_URL])
    if superuser.password != services["postgres"]["environment"]["POSTGRES_PASSWORD"]:
        yield "bootstrap has another password than PostgreSQL"


def _connections(services: Json, compose: Json) -> Iterator[str]:
    with_database = [part for part in services.values() if "CHATKIT_DATABASE_URL" in part.get("environment", {})]
    count = sum(int(part["deploy"].get("replicas", 1)) for part in with_database)
    for part in with_database:
        told = part["environment"]
        if int(told["CHATKIT_DATABASE_PROCESSES"]) != count:
            yield f"{count} processes share the database"
        if count * int(told["CHATKIT_DATABASE_CONNECTIONS"]) > _MOST_CONNECTIONS - _RESERVED_CONNECTIONS:
            yield "PostgreSQL does not admit so many connections"


def _bus(services: Json, compose: Json) -> Iterator[str]:
    bus = services["nats"]
    folders = {target: source for source, target, *_ in (volume.split(":") for volume in bus.get("volumes", []))}
    read = bus.get("command", ["", ""])[-1]
    file = folders.get(read, "")
    if bus.get("command", [""])[0] != "--config" or (ROOT / file).resolve() != NATS_CONFIGURATION:
        yield "NATS is not run with its configuration"
    elif (ROOT / folders.get(str(PurePosixPath(read).with_name("rights.conf")), "")).resolve() != nats.CONFIGURATION:
        yield "NATS does not know the rights of the services"
    told = bus.get("environment", {})
    for name in SERVICES:
        if name not in SUBJECTS:
            if "CHATKIT_NATS_URL" in services[name]["environment"]:
                yield f"{name} has nothing to say at NATS"
            continue
        url = urlsplit(services[name]["environment"].get("CHATKIT_NATS_URL", ""))
        if (url.scheme, url.hostname, url.port) != ("nats", "nats", _NATS_PORT):
            yield f"{name}'s bus is not where NATS is"
        elif url.username != name:
            yield f"{name} signs in to NATS as {url.username}"
        elif told.get(nats.password_variable(name)) != nats.quoted(url.password or ""):
            yield f"{name} has another password than NATS gives {name}"
        elif not set(services[name]["networks"]) & set(bus["networks"]):
            yield f"{name} shares no network with NATS"


def _commands(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        for word in part.get("command", []):
            if name in _OFFICIAL:
                continue
            # The four services have one main function (tests/contract/test_layout.py).
            module = "services.edge" if name == "edge" else "services.users"
            if word not in accepted(module):
                yield f"{name} is run with {word}, which it does not take"
    if services["bootstrap"]["entrypoint"] != ["python", "-m", bootstrap.__name__]:
        yield "bootstrap runs something else"


@cache
def accepted(module: str) -> tuple[str, ...]:
    """Ask a module which commands it takes."""
    command = [sys.executable, "-m", module, "--help"]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\{([\w,-]+)\}", usage)
    assert found is not None
    return tuple(found[1].split(","))


def _images(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        if name in _OFFICIAL:
            if re.fullmatch(rf"{name}:[0-9]+(-alpine)?{_DIGEST}", part["image"]) is None:
                yield f"{name} is not the official image of one major version"
            continue
        service = "users" if name == "bootstrap" else name.removesuffix("-migrate")
        if part["image"] != f"chatkit-{service}" or part["build"]["args"].get("SERVICE") != service:
            yield f"{name} runs the image of another service"
        if part["build"]["args"].get("PYTHON_IMAGE", "").partition("@")[0] != stages()[0][0].text.split()[0]:
            yield f"{name} is built from another image than its recipe names"
        if part["build"]["args"].get("COMMIT") != _COMMIT:
            yield f"{name} does not say which commit it is of"
        if not (ROOT / part["build"]["context"] / part["build"]["dockerfile"]).is_file():
            yield f"{name} has no Dockerfile"


def _published(services: Json, compose: Json) -> Iterator[str]:
    yield from (f"{name} is published" for name, part in services.items() if "ports" in part and name != "edge")
    for name in PROCESSES:
        if services[name]["environment"].get("CHATKIT_METRICS_LISTEN", "").partition(":")[0] != "0.0.0.0":
            yield f"nobody reaches the figures of {name}"
    container_ports = [port.split(":")[-1] for port in services["edge"].get("ports", [])]
    if [f"0.0.0.0:{port}" for port in container_ports] != [services["edge"]["environment"]["CHATKIT_LISTEN"]]:
        yield "what is published is not where the edge listens"


def _networks(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        yield from (f"{name} has no {network}" for network in part["networks"] if network not in compose["networks"])
    outside = {name for name, network in compose["networks"].items() if not _is_internal(network)}
    for name, part in services.items():
        if name != "edge" and outside & set(part["networks"]):
            yield f"{name} reaches the outside"
    if set(services["edge"]["networks"]) & set(services["postgres"]["networks"]):
        yield "the edge reaches PostgreSQL"


def _is_internal(network: Json | None) -> bool:
    return str((network or {}).get("internal")).lower() == "true"


def _order(services: Json, compose: Json) -> Iterator[str]:
    wanted: list[tuple[str, str, str]] = [("bootstrap", "postgres", _HEALTHY)]
    for service in SERVICES:
        wanted += [(f"{service}-migrate", "bootstrap", _DONE), (service, f"{service}-migrate", _DONE)]
        # So that compose stops the edge last.
        wanted.append((service, "edge", _HEALTHY))
    for name, other, condition in wanted:
        if services[name].get("depends_on", {}).get(other) != {"condition": condition}:
            yield f"{name} does not wait for {other}"
    for name, part in services.items():
        yield from (f"{name} waits for {other}" for other in part.get("depends_on", {}) if other not in services)
    if "depends_on" in services["edge"]:
        yield "the edge waits for others, and would be stopped before them"


def _health(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        off = part.get("healthcheck", {}).get("disable", False)
        if off != _is_job(name):
            yield f"{name} has {'no' if off else 'a'} health check"
    for name in _OFFICIAL:
        if "test" not in services[name].get("healthcheck", {}):
            yield f"nobody knows when {name} is healthy"


def _stopping(services: Json, compose: Json) -> Iterator[str]:
    for name in PROCESSES:
        allowed = float(services[name]["stop_grace_period"].removesuffix("s"))
        environment = services[name]["environment"]
        fields = SETTINGS[name].model_fields
        needed = sum(
            float(environment.get(f"CHATKIT_{setting.upper()}") or fields[setting].default)
            for setting in ("drain_seconds", "shutdown_grace_seconds")
        )
        needed += LONGEST_BEYOND_SETTINGS if name == "edge" else 0
        if allowed <= needed:
            yield f"{name} is killed while it waits for open calls"


def _secrets(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        values = [str(value) for key, value in part.get("environment", {}).items() if key.endswith("_FILE")]
        used = {value.removeprefix(_SECRETS) for value in values if value.startswith(_SECRETS)}
        if used != set(part.get("secrets", [])):
            yield f"{name} is given other secrets than it reads"
        yield from (f"{name} reads {secret}, which is none" for secret in used - set(compose["secrets"]))


def _hardening(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        limits: dict[str, Any] = part.get("deploy", {}).get("resources", {}).get("limits", {})
        if limits.keys() != {"cpus", "memory"}:
            yield f"{name} has no bounds"
        ours = name not in _OFFICIAL
        if ours and (part.get("cap_drop") != ["ALL"] or part.get("read_only") is not True):
            yield f"{name} may do more than it needs"
        if part.get("restart") != ("on-failure:5" if _is_job(name) else "unless-stopped"):
            yield f"{name} is not restarted as it should be"
    run_folder = services["edge"]["environment"]["CHATKIT_RUN_DIR"]
    if not any(mount.startswith(f"{run_folder}:") for mount in services["edge"]["tmpfs"]):
        yield "the edge can't write its run folder"


def _own_files(services: Json, compose: Json) -> Iterator[str]:
    for name in PROCESSES:
        mounts = services[name].get("volumes", [])
        if f"./compose/own/{name}:/etc/chatkit/own:ro" not in mounts:
            yield f"{name} has no place for files of its own"
        if "./compose/shared:/etc/chatkit/shared:ro" not in mounts:
            yield f"{name} does not see what all share"
        if services[name].get("env_file") != [{"path": "compose/settings.env", "required": False}]:
            yield f"{name} is not told the deployment's other settings"


def _content(services: Json, compose: Json) -> Iterator[str]:
    folder = services["files"]["environment"].get("CHATKIT_BLOB_DIR", "")
    volumes = dict(mount.split(":")[:2][::-1] for mount in services["files"].get("volumes", []))
    if volumes.get(folder) not in compose["volumes"]:
        yield "the content of files is on no volume"


_CHECKS: tuple[Callable[[Json, Json], Iterator[str]], ...] = (
    _variables,
    _told_to_all,
    _addresses,
    _databases,
    _connections,
    _bus,
    _commands,
    _images,
    _published,
    _networks,
    _order,
    _health,
    _stopping,
    _secrets,
    _hardening,
    _own_files,
    _content,
)
