"""The whole of compose.yaml without containers: its commands with its variables, on loopback and a PostgreSQL."""

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
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from services.runtime.bus.subjects import SUBJECTS
from services.runtime.identity.api_keys import ApiKey, mint_token
from services.stack import bootstrap, new_secrets
from services.stack.machine.ports import Port
from services.stack.machine.postgres import Postgres
from services.stack.machine.processes import Program
from services.stack.machine.supervisor import Child
from services.stack.nats import password_variable
from services.stack.roles import SERVICES, all_roles, role_names
from tests.deploy.compose import ENV_SAMPLE, NO_SECRETS, ROOT, Json, load, read_env
from tests.deploy.dockerfile import final
from tests.deploy.faults import PROCESSES
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.nats import Nats
from tests.support.nats import running as running_nats

_HTTP = "files' HTTP"
_LISTENERS = {_HTTP: ("files", "CHATKIT_HTTP_LISTEN")}
_METRICS = "CHATKIT_METRICS_LISTEN"


@dataclass
class Deployment:
    """compose.yaml with secrets of its own, and where on this machine its parts are."""

    folder: Path
    run_folder: Path
    env: dict[str, str]
    postgres: Postgres
    nats: Nats
    ports: dict[str, Port] = field(
        default_factory=lambda: {name: Port("127.0.0.1") for name in (*PROCESSES, *_LISTENERS)}
    )
    # Where each process tells its figures: in compose each has a network address of its own.
    figures: dict[str, Port] = field(default_factory=lambda: {name: Port("127.0.0.1") for name in PROCESSES})

    @cached_property
    def compose(self) -> Json:
        """The file as it is for these secrets, read once: it takes longer than most that is done with it."""
        return load(self.env)

    @property
    def services(self) -> Json:
        """Its services."""
        read: Json = self.compose["services"]
        return read

    def environment(self, name: str) -> dict[str, str]:
        """Return what compose tells a service, with this machine's addresses in the place of the network's."""
        told = {key: self._here(str(value)) for key, value in self.services[name]["environment"].items()}
        if name in self.figures:
            told[_METRICS] = self.figures[name].address
        return {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **told}

    def _here(self, value: str) -> str:
        if value.startswith("/run/secrets/"):
            return str(self.folder / self.compose["secrets"][value.removeprefix("/run/secrets/")]["file"])
        if value.startswith("postgresql://"):
            return f"{value.replace('@postgres:5432/', '@/')}?host={self.postgres.socket_folder}"
        if value.startswith("nats://"):
            return value.replace("@nats:4222", f"@127.0.0.1:{self.nats.port}")
        if value == "/run/chatkit":
            return str(self.run_folder)
        if value == "/var/lib/chatkit":
            return str(self.folder / "content")
        return self._addresses.get(value, value)

    @cached_property
    def _addresses(self) -> dict[str, str]:
        """Where what compose's network has is on this machine, for those who listen and for those who call."""
        found: dict[str, str] = {}
        for name, held in self.ports.items():
            service, variable = _LISTENERS.get(name, (name, "CHATKIT_LISTEN"))
            listen = self.services[service]["environment"][variable]
            found |= {listen: held.address, listen.replace("0.0.0.0", service): held.address}
        return found

    def run(self, name: str) -> "subprocess.CompletedProcess[str]":
        """Run a job to its end."""
        part = self.services[name]
        command = [*part.get("entrypoint", self.entrypoint), *part.get("command", [])]
        environ = {**self.environment(name), "SERVICE": part["build"]["args"]["SERVICE"]}
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=HANG_SECONDS
        )

    @property
    def entrypoint(self) -> list[str]:
        """The image's own."""
        return final("ENTRYPOINT").command

    def is_healthy(self, name: str) -> bool:
        """Run the image's health check."""
        environ = {**self.environment(name), "SERVICE": name}
        done = subprocess.run(final("HEALTHCHECK").command, cwd=ROOT, env=environ, capture_output=True, check=False)
        return done.returncode == 0

    async def wait_until_healthy(self, child: Child) -> None:
        """Return when the image's health check passes; a process that ends before is a failure."""
        async with asyncio.timeout(HANG_SECONDS):
            while not await asyncio.to_thread(self.is_healthy, child.program.name):
                ended = child.process is None or child.process.returncode is not None
                assert not ended, self._log(child.program.name).read_text()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[Child]:
        """Run a process as its container does."""
        command = (*self.entrypoint, *self.services[name]["command"])
        environ = {**self.environment(name), "SERVICE": name}
        log = self._log(name)
        child = Child(Program(name, command, environ, self.ports[name].address), log, lambda _: None, lambda: None)
        await child.start()
        try:
            yield child
        finally:
            await child.stop(20.0)
            assert child.process is not None
            assert child.process.returncode == 0, log.read_text()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Make secrets, and a PostgreSQL with the superuser's password."""
    (tmp_path / "compose").mkdir()
    for sample in (ENV_SAMPLE, *(ROOT / "compose").glob("*.example.json")):
        shutil.copy(sample, tmp_path / sample.relative_to(ROOT))
    assert new_secrets.main(tmp_path) == 0
    env = read_env(tmp_path / ".env")
    password = env["POSTGRES_PASSWORD"]
    passwords = {name: env[password_variable(name)] for name in SUBJECTS}
    for mount in load(env)["services"]["nats"]["volumes"]:
        source, target, _ = mount.split(":")
        shutil.copy(ROOT / source, tmp_path / Path(target).name)
    with (
        tempfile.TemporaryDirectory(prefix="edge-") as run_folder,
        Postgres(tmp_path / "data", tmp_path / "postgres.log", password=password) as postgres,
        running_nats(tmp_path, "--config", str(tmp_path / "nats.conf"), passwords=passwords) as nats,
    ):
        made = Deployment(tmp_path, Path(run_folder), env, postgres, nats)
        yield made
        for held in (*made.ports.values(), *made.figures.values()):
            held.release()


@pytest.mark.slow
async def test_what_compose_runs_works_together(deployment: Deployment) -> None:
    # Every `up` runs the jobs again.
    for job in ("bootstrap", *(f"{name}-migrate" for name in SERVICES), "bootstrap", "users-migrate"):
        done = await asyncio.to_thread(deployment.run, job)
        assert done.returncode == 0, f"{job}: {done.stderr}"
    assert not any(deployment.is_healthy(name) for name in ("users", "edge"))
    async with AsyncExitStack() as stack:
        # In compose's order, which is the opposite one when it stops.
        children = [await stack.enter_async_context(deployment.running(name)) for name in ("edge", *SERVICES)]
        for child in children:
            await deployment.wait_until_healthy(child)
        assert await _create_user(deployment) == {"id": "alice", "name": "Alice"}
        # Files refuses the URL, so the edge has found its HTTP listener.
        url = f"http://{deployment.ports['edge'].address}/files/00000000-0000-0000-0000-000000000000"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "FILE_URL_INVALID" in (await client.get(url)).text
            figures = await client.get(f"http://{deployment.figures['edge'].address}/stats/prometheus")
            assert "envoy_http_downstream_rq_total" in figures.text
            for name in SERVICES:
                ready = await client.get(f"http://{deployment.figures[name].address}/readyz")
                assert ready.status_code == 200, name
        # Users and rooms hear of changes; messages of entries, of cursors, of typing and of commands.
        await eventually(lambda: deployment.nats.subscriptions() == 1 + 1 + 5)


async def _create_user(deployment: Deployment) -> dict[str, str]:
    """Create a user through the edge, with a token of the first key."""
    (key,) = json.loads((deployment.folder / "compose/secrets/keys.json").read_text())["keys"]
    ttl, now = timedelta(minutes=5), datetime.now(UTC)
    token = mint_token(ApiKey(**key), deployment.env["CHATKIT_INSTANCE"], None, True, ttl, now)
    path = f"http://{deployment.ports['edge'].address}/chatkit.users.v1.UsersService/CreateUser"
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {token}"}) as client:
        answer = await client.post(path, json={"id": "alice", "name": "Alice"})
    assert answer.status_code == 200, answer.text
    user = answer.json()["user"]
    return {"id": user["id"], "name": user["name"]}


def test_a_job_that_can_not_work_says_why_and_fails(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    told = deployment.environment("bootstrap")
    assert bootstrap.main({**told, "CHATKIT_USERS_PASSWORD": ""}) == 2
    assert capsys.readouterr().err == "bootstrap: not set: CHATKIT_USERS_PASSWORD\n"
    assert bootstrap.main({**told, "CHATKIT_USERS_PASSWORD": "sample-users"}) == 2
    assert capsys.readouterr().err == "bootstrap: still the samples: CHATKIT_USERS_PASSWORD\n"
    assert bootstrap.main({**told, bootstrap.SUPERUSER_URL: "postgresql://postgres:hush@127.0.0.1:1/postgres"}) == 1
    said = capsys.readouterr().err
    assert said.startswith("bootstrap: ")
    assert "hush" not in said


def test_passwords_may_be_files_on_both_sides(deployment: Deployment, tmp_path: Path) -> None:
    told = {bootstrap.DATABASE: "chatkit"}
    for name in (bootstrap.SUPERUSER_PASSWORD, *(bootstrap.password_variable(role) for role in all_roles())):
        file = tmp_path / name
        file.write_text(deployment.env["POSTGRES_PASSWORD"] if name == bootstrap.SUPERUSER_PASSWORD else f"@ {name}\n")
        told[f"{name}_FILE"] = str(file)
    told[bootstrap.SUPERUSER_URL] = f"postgresql://postgres@/postgres?host={deployment.postgres.socket_folder}"
    assert bootstrap.main(told) == 0
    role = role_names("users")[1]
    done = subprocess.run(
        [sys.executable, "-m", "services.users", "migrate"],
        cwd=ROOT,
        env={
            "CHATKIT_MIGRATE_DATABASE_URL": f"postgresql://{role}@/chatkit?host={deployment.postgres.socket_folder}",
            "CHATKIT_MIGRATE_DATABASE_PASSWORD_FILE": told[f"{bootstrap.password_variable(role)}_FILE"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("users: applied 0001"), done.stderr


def test_a_new_password_is_in_force_after_the_next_bootstrap(deployment: Deployment) -> None:
    told = deployment.environment("bootstrap")
    for password in ("first", "second"):
        passwords = {bootstrap.password_variable(role): f"{password} of {role}" for role in all_roles()}
        assert bootstrap.main({**told, **passwords}) == 0
        for role in all_roles():
            psycopg.connect(deployment.postgres.dsn(role, f"{password} of {role}", "chatkit")).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(deployment.postgres.dsn("chatkit_users", "first of chatkit_users", "chatkit"))


def test_secrets_are_made_once_differ_and_are_their_owners_alone(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("services/__init__.py", "services/stack/__init__.py", "services/stack/new_secrets.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / "compose").mkdir()
    for sample in (ENV_SAMPLE, *(ROOT / "compose").glob("*.example.json")):
        shutil.copy(sample, copy / sample.relative_to(ROOT))
    # Without site-packages: a machine that runs containers needs no environment of ours.
    command = [sys.executable, "-S", "-m", new_secrets.__name__]
    first, second = (
        subprocess.run(command, cwd=copy, env={}, capture_output=True, text=True, check=False) for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 1)
    assert "left as they are" in second.stderr
    values = [value for name, value in read_env(copy / ".env").items() if name not in NO_SECRETS]
    for name in ("keys.json", "service_keys.json"):
        path = copy / "compose" / "secrets" / name
        values += [key["secret"] for key in json.loads(path.read_text())["keys"]]
        # The container's user reads the file; nobody on the machine but the owner reaches it.
        assert path.stat().st_mode & 0o777 == 0o444
    assert (copy / "compose" / "secrets").stat().st_mode & 0o777 == 0o700
    assert (copy / ".env").stat().st_mode & 0o777 == 0o600
    assert len(set(values)) == len(values)
    assert all(len(value) == 64 and not value.startswith(new_secrets.SAMPLE) for value in values)


def test_an_env_of_an_earlier_release_gets_what_is_new_and_keeps_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose" / "secrets").mkdir(parents=True)
    for sample in (ENV_SAMPLE, *(ROOT / "compose").glob("*.example.json")):
        shutil.copy(sample, tmp_path / sample.relative_to(ROOT))
    assert new_secrets.main(tmp_path) == 0
    env = tmp_path / ".env"
    lines = env.read_text().splitlines()
    names = ["NATS_USERS_PASSWORD", "NATS_ROOMS_PASSWORD", "NATS_MESSAGES_PASSWORD"]
    kept = [line for line in lines if line.partition("=")[0] not in names]
    earlier = "\n".join([*kept, "NATS_TOKEN=of all"])
    env.write_text(earlier)
    capsys.readouterr()
    assert new_secrets.main(tmp_path) == 0
    assert capsys.readouterr().out == f"added to .env: {', '.join(names)}\n"
    assert env.read_text().startswith(f"{earlier}\n")
    added = read_env(env)
    assert added.keys() == {*read_env(ENV_SAMPLE), "NATS_TOKEN"}
    assert len({added[name] for name in names}) == len(names)
    assert all(len(added[name]) == 64 for name in names)
    assert env.stat().st_mode & 0o777 == 0o600
    assert new_secrets.main(tmp_path) == 1
    assert read_env(env) == added


def test_nats_answers_its_health_check(deployment: Deployment) -> None:
    asked = urlsplit(deployment.services["nats"]["healthcheck"]["test"][-1])
    # What listens there is what its configuration says; here the port is another.
    told = re.search(r'^http: "(.*)"$', (deployment.folder / "nats.conf").read_text(), re.MULTILINE)
    assert told is not None
    assert asked.netloc == told[1]
    assert json.loads(deployment.nats.ask(asked.path)) == {"status": "ok"}


def test_what_holds_secrets_is_kept_out_of_git_and_of_images() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env", "/compose/secrets/", "/compose/own/"} <= set(ignored)
    # The Dockerfile's test holds what reaches the builder against what it copies.
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
