"""The processes of operations/kubernetes without a cluster: their commands, settings, secrets, probes, on loopback."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.bus.subjects import SUBJECTS
from services.runtime.identity.api_keys import ApiKey, mint_token
from services.stack.machine.cluster import BINARIES
from services.stack.machine.ports import Port
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import Program
from services.stack.machine.supervisor import Child
from services.stack.roles import SERVICES
from tests.deploy.compose import ROOT, read_env
from tests.deploy.dockerfile import final
from tests.deploy.kubernetes.folder import applied, copy_of
from tests.deploy.kubernetes.kustomize import Json, build, find
from tests.deploy.kubernetes.workloads import Workload
from tests.support.certificates import Authority
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.s3 import S3, running_s3

_METRICS = "CHATKIT_METRICS_LISTEN"
_TLS = "/etc/chatkit/tls/"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


def _set(file: Path, **told: str) -> None:
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in told]
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in told.items()), ""]))


@dataclass
class Cluster:
    """The folder as an operator has set it up, and where on this machine its parts are."""

    root: Path
    run_folder: Path
    folder: Path
    nats: Nats | None = None
    overlay: str = "base"
    ports: dict[tuple[str, int], Port] = field(default_factory=dict)

    @cached_property
    def objects(self) -> list[Json]:
        """What is applied."""
        return applied(self.folder, self.overlay)

    def workload(self, kind: str, name: str) -> Workload:
        """Return what makes the pods of a process."""
        return Workload(find(self.objects, kind, name), self.objects)

    def address(self, port: int, pod: str = "") -> str:
        """Return where on this machine a port is; several pods have one of a number, if they are named."""
        if (pod, port) not in self.ports:
            self.ports[pod, port] = Port("127.0.0.1")
        return self.ports[pod, port].address

    def environment(self, pod: Workload) -> dict[str, str]:
        """Return what a process is told, with this machine's places in those of the pods."""
        image = pod.container["image"].partition(":")[0].rpartition("-")[2]
        told = {name: self._here(pod, value) for name, value in pod.environment().items()}
        if _METRICS in told:
            told[_METRICS] = self.address(pod.ports["metrics"], pod.name)
        return {"PATH": _PATH, "SERVICE": image, **told}

    def _here(self, pod: Workload, value: str) -> str:
        if value in pod.files():
            file = self.root / "pods" / pod.name / value.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(pod.files()[value])
            return str(file)
        if value.startswith(_TLS):
            return str(self.root / "tls" / value.removeprefix(_TLS))
        if value == "/run/chatkit/edge":
            return str(self.run_folder / "edge")
        if value.startswith("nats://") and self.nats is not None:
            return value.replace("@nats:4222", f"@127.0.0.1:{self.nats.port}")
        found = re.fullmatch(r"(?:0\.0\.0\.0|[a-z]+):(\d{4,5})", value)
        return self.address(int(found[1])) if found else value

    def command(self, pod: Workload) -> list[str]:
        """Return what the container runs: its own command, or the image's."""
        return [*pod.container.get("command", final("ENTRYPOINT").command), *pod.container.get("args", [])]

    def run(self, kind: str, name: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run a job to its end."""
        pod = self.workload(kind, name)
        environ = {**self.environment(pod), **changes}
        return subprocess.run(
            self.command(pod),
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
        )

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[Workload]:
        """Run a process as its container does."""
        pod, log = self.workload("Deployment", name), self.root / f"{name}.log"
        environ = self.environment(pod)
        program = Program(name, tuple(self.command(pod)), environ, environ["CHATKIT_LISTEN"])
        child = Child(program, log, lambda _: None, lambda: None)
        await child.start()
        try:
            yield pod
        finally:
            await child.stop(float(pod.pod["terminationGracePeriodSeconds"]))
            assert child.process is not None
            assert child.process.returncode == 0, log.read_text()

    async def probe(self, pod: Workload, name: str) -> bool:
        """Ask what the nodes ask."""
        told = pod.container[name]
        if "httpGet" in told:
            port = told["httpGet"]["port"]
            address = self.address(pod.ports[port], pod.name if port == "metrics" else "")
            try:
                async with httpx.AsyncClient(trust_env=False) as client:
                    return (
                        await client.get(f"http://{address}{told['httpGet']['path']}")
                    ).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False
        asked = health_pb2.HealthCheckRequest(service=told["grpc"].get("service", ""))
        async with grpc.aio.insecure_channel(self.address(told["grpc"]["port"])) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(asked, timeout=HANG_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == _SERVING)

    async def until(self, pod: Workload, probe: str) -> None:
        """Return once a probe passes."""
        await until(lambda: self.probe(pod, probe))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Set the folder up, with a PostgreSQL and a NATS outside."""
    folder = copy_of(tmp_path)
    secrets = folder / "settings" / "secrets"
    password = (secrets / "POSTGRES_PASSWORD").read_text()
    passwords = {name: (secrets / f"NATS_{name.upper()}_PASSWORD").read_text() for name in SUBJECTS}
    config = folder / "base" / "nats" / "nats.conf"
    with (
        tempfile.TemporaryDirectory(prefix="edge-") as run_folder,
        Postgres(tmp_path / "data", tmp_path / "postgres.log", password=password) as postgres,
        running_nats(tmp_path, "--config", str(config), passwords=passwords) as nats,
    ):
        socket_folder = f"host={postgres.socket_folder}"
        _set(folder / "settings" / "settings.env", POSTGRES_ADDRESS="", POSTGRES_OPTIONS=socket_folder)
        made = Cluster(tmp_path, Path(run_folder), folder, nats)
        yield made
        for held in made.ports.values():
            held.release()


@pytest.mark.slow
async def test_what_is_applied_works_together(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        bucket = await stack.enter_async_context(running_s3(cluster.root / "s3"))
        _use_bucket(cluster, bucket)
        for job in ("bootstrap", *(f"{name}-migrate" for name in SERVICES), "bootstrap"):
            done = await asyncio.to_thread(cluster.run, "Job", job)
            assert done.returncode == 0, f"{job}: {done.stderr}"
        pods = [await stack.enter_async_context(cluster.running(name)) for name in ("edge", *SERVICES)]
        for pod in pods:
            await cluster.until(pod, "readinessProbe")
        assert await _create_user(cluster) == "alice"
        assert cluster.nats is not None
        nats = cluster.nats
        await eventually(lambda: nats.subscriptions() == 1 + 1 + 5)
        await asyncio.to_thread(_back_up_all_or_nothing, cluster)


def _use_bucket(cluster: Cluster, bucket: S3) -> None:
    settings = {f"CHATKIT_{name.upper()}": str(value) for name, value in bucket.settings.items()}
    secret = "CHATKIT_S3_SECRET_ACCESS_KEY"
    (cluster.folder / "settings" / "secrets" / secret).write_text(settings.pop(secret))
    _set(cluster.folder / "settings" / "settings.env", **settings)


def _back_up_all_or_nothing(cluster: Cluster) -> None:
    done = _back_up(cluster, cluster.root / "backups")
    assert done.returncode == 0, done.stderr
    (made,) = (cluster.root / "backups").iterdir()
    for name in SERVICES:
        command = [str(BINARIES / "pg_restore"), "--list", str(made / f"{name}.dump")]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"SCHEMA - {name}" in listed
    wrong = _back_up(cluster, cluster.root / "others", DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert wrong.returncode != 0
    assert not list((cluster.root / "others").glob("*Z"))


def _back_up(cluster: Cluster, folder: Path, **changes: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir()
    pod = cluster.workload("CronJob", "backup")
    script = cluster.root / "backup.sh"
    script.write_text(pod.files()[pod.container["command"][1]])
    environ = {**cluster.environment(pod), "BACKUPS": str(folder), "PATH": f"{BINARIES}:{_PATH}", **changes}
    command = [pod.container["command"][0], str(script)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=HANG_SECONDS)


async def _create_user(cluster: Cluster) -> str:
    """Create a user through the edge, with a token of the first key."""
    (key,) = json.loads((cluster.folder / "settings/secrets/keys.json").read_text())["keys"]
    instance = read_env(cluster.folder / "settings/settings.env")["CHATKIT_INSTANCE"]
    token = mint_token(ApiKey(**key), instance, None, True, timedelta(minutes=5), datetime.now(UTC))
    path = f"http://{cluster.address(8080)}/chatkit.users.v1.UsersService/CreateUser"
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {token}"}) as client:
        answer = await client.post(path, json={"id": "alice", "name": "Alice"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["user"]["id"])


@pytest.mark.parametrize("overlay", ["base", "production"])
async def test_a_service_that_waits_for_its_database_is_alive_and_not_ready(tmp_path: Path, overlay: str) -> None:
    folder = copy_of(tmp_path)
    _set(folder / "settings" / "settings.env", POSTGRES_ADDRESS="127.0.0.1:1", POSTGRES_OPTIONS="")
    _write_certificates(tmp_path / "tls")
    cluster = Cluster(tmp_path, tmp_path, folder, overlay=overlay)
    async with cluster.running("users") as pod:
        await cluster.until(pod, "startupProbe")
        assert await cluster.probe(pod, "livenessProbe")
        assert not await cluster.probe(pod, "readinessProbe")
    for held in cluster.ports.values():
        held.release()


def _write_certificates(folder: Path) -> None:
    """Write a certificate with the names that its parts have in a Secret."""
    folder.mkdir()
    certificates = Authority("ours").write(folder)
    for name, file in (("tls.crt", "certificate"), ("tls.key", "key"), ("ca.crt", "ca")):
        shutil.copy(certificates[f"tls_{file}_file"], folder / name)


def test_the_backup_copies_in_the_order_of_the_page() -> None:
    loop = re.compile(r"^ *for schema in (.*); do$", re.MULTILINE)
    script = loop.search((ROOT / "operations/kubernetes/base/backup/backup.sh").read_text())
    page = loop.search((ROOT / "docs/backup.md").read_text())
    assert script is not None
    assert page is not None
    assert script[1] == page[1]


def test_nats_is_told_what_it_is_told_in_compose() -> None:
    nats = ROOT / "operations/kubernetes/base/nats"
    assert (nats / "nats.conf").read_text() == (ROOT / "compose/nats.conf").read_text()
    assert (nats / "rights.conf").read_text() == (ROOT / "services/stack/nats.conf").read_text()


def test_nats_takes_its_configuration_for_production(folder: Path, tmp_path: Path) -> None:
    objects = build(folder / "production")
    bus = Workload(find(objects, "Deployment", "nats"), objects)
    _write_certificates(tmp_path / "tls")
    for path, text in bus.files().items():
        (tmp_path / Path(path).name).write_text(text.replace("/etc/nats-tls", str(tmp_path / "tls")))
    passwords = dict.fromkeys(SUBJECTS, "123e5")
    assert bus.container["args"][0] == "--config"
    with running_nats(tmp_path, "--config", str(tmp_path / "nats.conf"), passwords=passwords) as nats:
        assert json.loads(nats.ask("/varz"))["tls_required"] is True
