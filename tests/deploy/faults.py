"""What is wrong with a compose file, compared with the processes that it runs; each check yields sentences."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from services.edge import public
from services.edge.settings import EdgeSettings
from services.runtime.contract import ENVIRONMENT_PREFIX, Limits
from services.runtime.settings import Settings
from services.runtime.subjects import SUBJECTS
from services.stack import bootstrap, nats
from services.stack.roles import SERVICES, all_roles, role_names
from tests.deploy.compose import ROOT, Json

PROCESSES = (*SERVICES, "edge")
_HTTP = "_http"
_OFFICIAL = ("postgres", "nats")
_PREFIX = "CHATKIT_"
_DATABASE_PORT, _NATS_PORT = 5432, 4222
# PostgreSQL's own defaults, which the image keeps.
_MOST_CONNECTIONS, _RESERVED_CONNECTIONS = 100, 3
_DONE, _HEALTHY = "service_completed_successfully", "service_healthy"
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
        passwords = {bootstrap.password_variable(role) for role in all_roles()}
        return {bootstrap.SUPERUSER_URL, bootstrap.DATABASE, *passwords}
    settings = EdgeSettings if name == "edge" else Settings
    fields = {_PREFIX + field.upper() for field in settings.model_fields.keys() - _NOT_TOLD}
    return fields | {ENVIRONMENT_PREFIX + row.name for row in Limits().rows}


def _addresses(services: Json, compose: Json) -> Iterator[str]:
    for name in PROCESSES:
        told = services[name]["environment"]
        found = {key.removeprefix(_PREFIX)[: -len("_ADDRESS")].lower() for key in told if key.endswith("_ADDRESS")}
        yield from (f"{name} is not told where {peer} is" for peer in _peers(name) - found)
        yield from (f"{name} has no use for {peer}'s address" for peer in found - _peers(name))
        for peer in found:
            address = told[f"{_PREFIX}{peer.upper()}_ADDRESS"]
            host, _, port = address.partition(":")
            listener = "CHATKIT_HTTP_LISTEN" if peer.endswith(_HTTP) else "CHATKIT_LISTEN"
            listens = services.get(host, {}).get("environment", {}).get(listener, "")
            if host != peer.removesuffix(_HTTP) or listens != f"0.0.0.0:{port}":
                yield f"{name} looks for {peer} at {address}, where it does not listen"
            elif not set(services[name]["networks"]) & set(services[host]["networks"]):
                yield f"{name} shares no network with {peer}"


def _peers(name: str) -> set[str]:
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
    for part in with_database:
        told = part["environment"]
        if int(told["CHATKIT_DATABASE_PROCESSES"]) != len(with_database):
            yield f"{len(with_database)} processes share the database"
        if len(with_database) * int(told["CHATKIT_DATABASE_CONNECTIONS"]) > _MOST_CONNECTIONS - _RESERVED_CONNECTIONS:
            yield "PostgreSQL does not admit so many connections"


def _bus(services: Json, compose: Json) -> Iterator[str]:
    bus = services["nats"]
    folders = {target: source for source, target, *_ in (volume.split(":") for volume in bus.get("volumes", []))}
    file = folders.get(bus.get("command", ["", ""])[-1], "")
    if bus.get("command", [""])[0] != "--config" or (ROOT / file).resolve() != nats.CONFIGURATION:
        yield "NATS is not run with its configuration"
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
            if word not in _accepted(module):
                yield f"{name} is run with {word}, which it does not take"
    if services["bootstrap"]["entrypoint"] != ["python", "-m", bootstrap.__name__]:
        yield "bootstrap runs something else"


@cache
def _accepted(module: str) -> tuple[str, ...]:
    """Ask a module which commands it takes."""
    command = [sys.executable, "-m", module, "--help"]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\{([\w,-]+)\}", usage)
    assert found is not None
    return tuple(found[1].split(","))


def _images(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        if name in _OFFICIAL:
            if re.fullmatch(rf"{name}:[0-9]+", part["image"]) is None:
                yield f"{name} is not the official image of one major version"
            continue
        service = "users" if name == "bootstrap" else name.removesuffix("-migrate")
        if part["image"] != f"chatkit-{service}" or part["build"]["args"] != {"SERVICE": service}:
            yield f"{name} runs the image of another service"
        if not (ROOT / part["build"]["context"] / part["build"]["dockerfile"]).is_file():
            yield f"{name} has no Dockerfile"


def _published(services: Json, compose: Json) -> Iterator[str]:
    yield from (f"{name} is published" for name, part in services.items() if "ports" in part and name != "edge")
    container_ports = [port.split(":")[-1] for port in services["edge"].get("ports", [])]
    if [f"0.0.0.0:{port}" for port in container_ports] != [services["edge"]["environment"]["CHATKIT_LISTEN"]]:
        yield "what is published is not where the edge listens"


def _networks(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        yield from (f"{name} has no {network}" for network in part["networks"] if network not in compose["networks"])
    outside = {name for name, network in compose["networks"].items() if not (network or {}).get("internal")}
    for name, part in services.items():
        if name != "edge" and outside & set(part["networks"]):
            yield f"{name} reaches the outside"
    if set(services["edge"]["networks"]) & set(services["postgres"]["networks"]):
        yield "the edge reaches PostgreSQL"


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
    if "test" not in services["postgres"].get("healthcheck", {}):
        yield "nobody knows when PostgreSQL is healthy"


def _stopping(services: Json, compose: Json) -> Iterator[str]:
    for name in PROCESSES:
        allowed = float(services[name]["stop_grace_period"].removesuffix("s"))
        environment, fields = services[name]["environment"], Settings.model_fields
        needed = sum(
            float(environment.get(f"CHATKIT_{setting.upper()}") or fields[setting].default)
            for setting in ("drain_seconds", "shutdown_grace_seconds")
        )
        if allowed <= needed:
            yield f"{name} is killed while it waits for open calls"


def _secrets(services: Json, compose: Json) -> Iterator[str]:
    for name, part in services.items():
        values = [str(value) for key, value in part.get("environment", {}).items() if key.endswith("_FILE")]
        used = {value.removeprefix("/run/secrets/") for value in values}
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


def _content(services: Json, compose: Json) -> Iterator[str]:
    folder = services["files"]["environment"].get("CHATKIT_BLOB_DIR", "")
    volumes = dict(mount.split(":")[:2][::-1] for mount in services["files"].get("volumes", []))
    if volumes.get(folder) not in compose["volumes"]:
        yield "the content of files is on no volume"


_CHECKS: tuple[Callable[[Json, Json], Iterator[str]], ...] = (
    _variables,
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
    _content,
)
