"""What is wrong with the objects of operations/kubernetes, compared with the processes that they run."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from services.edge import public
from services.edge.process import LONGEST_BEYOND_SETTINGS
from services.runtime.bus.subjects import SUBJECTS
from services.runtime.contract.policies import ENVIRONMENT_PREFIX, Limits
from services.runtime.process.readiness import LIVENESS
from services.runtime.settings import PREFIX, Settings, secret_settings
from services.stack import bootstrap
from services.stack.nats import password_variable
from services.stack.roles import SERVICES, role_names
from tests.deploy.faults import PROCESSES, accepted, peers_of
from tests.deploy.kubernetes import policies
from tests.deploy.kubernetes.kustomize import Json, find
from tests.deploy.kubernetes.workloads import Workload, workloads
from tests.support.settings import SETTINGS

_BUS = "nats"
_OURS = {"service", "edge", "job"}
_POSTGRES_PORT, _BUCKET_PORT, _NAMES_PORT, _NATS_PORT = 5432, 443, 53, 4222
_NATS = f"{_BUS}:{_NATS_PORT}"
_MIGRATE = "-migrate"
Check = Callable[[list[Workload], list[Json]], Iterator[str]]


def faults(objects: list[Json]) -> list[str]:
    """List everything that is wrong with what is applied together."""
    made = workloads(objects)
    return [fault for check in _CHECKS for fault in check(made, objects)]


def _process(pod: Workload) -> str:
    """Name the process whose image a pod runs."""
    return "users" if pod.name == "bootstrap" else pod.name.removesuffix(_MIGRATE)


def _known(pod: Workload) -> set[str]:
    if pod.name == "bootstrap":
        return {bootstrap.DATABASE, *bootstrap.SECRETS, *(f"{secret}_FILE" for secret in bootstrap.SECRETS)}
    kind = SETTINGS.get(_process(pod), Settings)
    secrets = {f"{PREFIX}{name.upper()}_FILE" for name in secret_settings(kind)}
    return secrets | {PREFIX + name.upper() for name in kind.model_fields}


def _variables(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    known = {name for pod in made for name in _known(pod)} | {ENVIRONMENT_PREFIX + row.name for row in Limits().rows}
    shared = find(objects, "ConfigMap", "settings")["data"]
    yield from (f"nobody reads {name}" for name in shared if name.startswith(PREFIX) and name not in known)
    for pod in made:
        told = {variable["name"] for variable in pod.container.get("env", [])}
        yield from (
            f"{pod.name} reads no {name}" for name in told if name.startswith(PREFIX) and name not in _known(pod)
        )


def _files(made: list[Workload], _objects: list[Json]) -> Iterator[str]:
    """Look for secrets that a process sees without a use for them, or looks for in vain."""
    for pod in made:
        told = pod.environment()
        known = {name: path for name, path in told.items() if name.endswith("_FILE") and path and _may_read(pod, name)}
        secrets = {path for path in pod.files() if path.startswith("/run/secrets/")}
        for name, path in known.items():
            if path not in secrets and not any(path.startswith(f"{folder}/") for folder in pod.optional_folders()):
                yield f"{pod.name} looks for {name} at {path}, where nothing is"
        yield from (f"{pod.name} has no use for {path}" for path in secrets - set(known.values()))


def _may_read(pod: Workload, name: str) -> bool:
    return pod.component not in _OURS or name in _known(pod)


def _commands(made: list[Workload], _objects: list[Json]) -> Iterator[str]:
    for pod in made:
        container = pod.container
        if pod.component not in _OURS:
            if re.fullmatch(r"(nats:[0-9]+-alpine|postgres:[0-9]+)", container["image"]) is None:
                yield f"{pod.name} is not run by the official image of one major version"
            continue
        if not re.fullmatch(rf"(.*/)?chatkit-{_process(pod)}:.+", container["image"]):
            yield f"{pod.name} runs the image of another process, or any version"
        if pod.name == "bootstrap":
            if container.get("command") != ["python", "-m", bootstrap.__name__]:
                yield "bootstrap runs something else"
            continue
        # The four services have one main function (tests/contract/test_layout.py).
        module = "services.edge" if pod.component == "edge" else "services.users"
        expected = ["migrate"] if pod.component == "job" else ["serve"]
        if "command" in container or container["args"] != expected or expected[0] not in accepted(module):
            yield f"{pod.name} is not run as {expected[0]}"


def _addresses(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    pods = {pod.name: pod for pod in made}
    for pod in (pods[name] for name in PROCESSES):
        told = pod.environment()
        main = "public" if pod.name == "edge" else "grpc"
        listeners = {PREFIX + "LISTEN": main, PREFIX + "HTTP_LISTEN": "http", PREFIX + "METRICS_LISTEN": "metrics"}
        listens = {port: told[name] for name, port in listeners.items() if name in told}
        if listens != {name: f"0.0.0.0:{port}" for name, port in pod.ports.items()}:
            yield f"{pod.name} does not listen where its ports are"
        for peer in peers_of(pod.name):
            host, _, port = told.get(f"{PREFIX}{peer.upper()}_ADDRESS", "").partition(":")
            wanted = "http" if peer == public.CONTENT_CLUSTER else "grpc"
            if host != peer.removesuffix("_http") or str(pods[host].ports[wanted]) != port:
                yield f"{pod.name} looks for {peer} at {host}:{port}, where it does not listen"


def _services(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    for pod in made:
        if not pod.ports:
            continue
        spec = find(objects, "Service", pod.name)["spec"]
        if not policies.selects({"matchLabels": spec["selector"]}, pod.labels):
            yield f"the Service {pod.name} does not find its pods"
        if (spec.get("clusterIP") == "None") == (pod.name == "edge"):
            yield f"callers do not see each replica of {pod.name}, or clients do"
        shown = {port["targetPort"]: port["port"] for port in spec["ports"]}
        # Figures are those of one pod.
        wanted = {name: port for name, port in pod.ports.items() if name != "metrics"}
        if pod.name == "edge":
            wanted = dict.fromkeys(wanted, shown.get("public", 0))
        if shown != wanted:
            yield f"the Service {pod.name} shows {shown}"


def _databases(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    settings = find(objects, "ConfigMap", "settings")["data"]
    address, options = settings["POSTGRES_ADDRESS"], settings["POSTGRES_OPTIONS"]
    for pod in made:
        if pod.component not in {"service", "job"} or pod.name == "bootstrap":
            continue
        is_job = pod.component == "job"
        role = role_names(_process(pod))[is_job]
        url = pod.environment().get(f"{PREFIX}{'MIGRATE_' if is_job else ''}DATABASE_URL")
        if url != f"postgresql://{role}@{address}/chatkit?{options}":
            yield f"{pod.name} does not use {role}"


def _bus(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    encrypted = find(objects, "ConfigMap", "settings")["data"].get("CHATKIT_NATS_CA_FILE")
    pods = {pod.name: pod for pod in made}
    bus = pods[_BUS].environment()
    for name in SERVICES:
        url = urlsplit(pods[name].environment().get("CHATKIT_NATS_URL", ""))
        if name not in SUBJECTS:
            if url.scheme:
                yield f"{name} has nothing to say at NATS"
        elif (url.scheme, url.username, url.netloc.rpartition("@")[2]) != ("tls" if encrypted else "nats", name, _NATS):
            yield f"{name} does not sign in to NATS as itself"
        elif bus.get(password_variable(name)) != f"'{pods[name].files()['/run/secrets/chatkit/nats_password']}'":
            yield f"{name} has another password than NATS gives {name}"


def _probes(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    encrypted = bool(find(objects, "ConfigMap", "settings")["data"].get("CHATKIT_TLS_CA_FILE"))
    for pod in made:
        if pod.name not in PROCESSES:
            continue
        alive, ready = _asked(pod, encrypted=encrypted)
        for probe, expected in (("startupProbe", alive), ("livenessProbe", alive), ("readinessProbe", ready)):
            if not pod.container.get(probe, {}).items() >= expected.items():
                yield f"the {probe} of {pod.name} does not ask as it answers"


def _asked(pod: Workload, *, encrypted: bool) -> tuple[Json, Json]:
    """Say how a process is asked whether it is alive, and whether it is ready."""
    if pod.component == "edge":
        scheme = {"scheme": "HTTPS"} if encrypted else {}
        return {"tcpSocket": {"port": "public"}}, {"httpGet": {"path": "/health", "port": "public", **scheme}}
    if encrypted:
        alive, ready = ({"httpGet": {"path": path, "port": "metrics"}} for path in ("/healthz", "/readyz"))
        return alive, ready
    port = pod.ports["grpc"]
    return {"grpc": {"port": port, "service": LIVENESS}}, {"grpc": {"port": port}}


def _stopping(made: list[Workload], _objects: list[Json]) -> Iterator[str]:
    for pod in made:
        if pod.name not in PROCESSES:
            continue
        told, fields = pod.environment(), SETTINGS[pod.name].model_fields
        needed = sum(
            float(told.get(f"{PREFIX}{name.upper()}") or fields[name].default)
            for name in ("drain_seconds", "shutdown_grace_seconds")
        )
        needed += LONGEST_BEYOND_SETTINGS if pod.name == "edge" else 0
        if pod.pod["terminationGracePeriodSeconds"] <= needed:
            yield f"{pod.name} is killed while it waits for open calls"
        if "lifecycle" in pod.container:
            yield f"{pod.name} drains twice"


def _hardening(made: list[Workload], _objects: list[Json]) -> Iterator[str]:
    for pod in made:
        context = pod.pod.get("securityContext", {})
        if pod.pod.get("automountServiceAccountToken") is not False or pod.pod.get("enableServiceLinks") is not False:
            yield f"{pod.name} is told of the cluster"
        if context.get("runAsNonRoot") is not True or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.name} may do more than it needs"
        if context.get("runAsUser") != context.get("fsGroup"):
            yield f"{pod.name} can't read its secrets"
        if pod.container.get("securityContext") != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }:
            yield f"the container of {pod.name} may do more than it needs"
        resources = pod.container.get("resources", {})
        if resources.get("requests", {}).keys() != {"cpu", "memory"} or "memory" not in resources.get("limits", {}):
            yield f"{pod.name} has no bounds"


def _replicas(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    scaled = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "HorizontalPodAutoscaler"}
    most = 0
    for pod in made:
        if pod.name not in PROCESSES:
            continue
        spec, labels = pod.made["spec"], {"matchLabels": {"app.kubernetes.io/name": pod.name}}
        budget = find(objects, "PodDisruptionBudget", pod.name)["spec"]
        if spec["selector"] != labels or budget != {"maxUnavailable": 1, "selector": labels}:
            yield f"nobody counts the pods of {pod.name}"
        if any(spread["labelSelector"] != labels for spread in pod.pod["topologySpreadConstraints"]):
            yield f"{pod.name} is not spread"
        if "replicas" in spec:
            yield f"{pod.name} is told a number, which what scales it would lose at each release"
        if spec["strategy"]["rollingUpdate"] != {"maxSurge": 1, "maxUnavailable": 0}:
            yield f"{pod.name} is fewer while it is replaced"
        scaling = scaled.pop(pod.name, {"maxReplicas": 1, "minReplicas": 1, "scaleTargetRef": {"name": pod.name}})
        if scaling["scaleTargetRef"]["name"] != pod.name or scaling["minReplicas"] > scaling["maxReplicas"]:
            yield f"{pod.name} is not scaled"
        most += scaling["maxReplicas"] + 1 if pod.name in SERVICES else 0
    yield from (f"{name} is scaled, and is none" for name in scaled)
    told = find(objects, "ConfigMap", "settings")["data"]["CHATKIT_DATABASE_PROCESSES"]
    if int(told) != most:
        yield f"{most} processes share the database"


def _network(made: list[Workload], objects: list[Json]) -> Iterator[str]:
    rules = [one for one in objects if one["kind"] == "NetworkPolicy"]
    nobody = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if nobody not in [rule["spec"] for rule in rules]:
        yield "who is named nowhere may do everything"
    pods = {pod.name: pod for pod in made}
    wanted = {
        (
            name,
            peer.removesuffix("_http"),
            pods[peer.removesuffix("_http")].ports["http" if "_http" in peer else "grpc"],
        )
        for name in PROCESSES
        for peer in peers_of(name)
    }
    wanted |= {(name, _BUS, _NATS_PORT) for name in SUBJECTS}
    yield from _differences("reaches", policies.inside(rules, made), wanted)
    with_database = [pod.name for pod in made if pod.component in {"service", "job", "backup"}]
    out = {(name, policies.ANYWHERE, _POSTGRES_PORT) for name in with_database}
    out |= {("files", policies.ANYWHERE, _BUCKET_PORT)} | {(pod.name, "kube-system", _NAMES_PORT) for pod in made}
    yield from _differences("goes out to", policies.outside(rules, made, "Egress"), out)
    into = {("edge", policies.ANYWHERE, pods["edge"].ports["public"])}
    into |= {(name, "monitoring", pods[name].ports["metrics"]) for name in PROCESSES}
    yield from _differences("is open to", policies.outside(rules, made, "Ingress"), into)


def _differences(verb: str, allowed: policies.Allowed, wanted: policies.Allowed) -> Iterator[str]:
    for name, other, port in allowed ^ wanted:
        yield f"{'' if (name, other, port) in allowed else 'not: '}{name} {verb} {other} at {port}"


_CHECKS: tuple[Check, ...] = (
    _variables,
    _files,
    _commands,
    _addresses,
    _services,
    _databases,
    _bus,
    _probes,
    _stopping,
    _hardening,
    _replicas,
    _network,
)
