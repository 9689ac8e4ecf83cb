"""Each service may use its own subjects of the bus and no other, at a real NATS that runs with our configuration."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import services
from services.runtime.bus.nats import NatsBus
from services.runtime.bus.nats_url import parse_servers
from services.runtime.bus.subjects import SUBJECTS, subject
from services.runtime.clock import SystemClock
from services.stack.nats import CONFIGURATION, configuration
from services.stack.roles import SERVICES
from tests.support.eventually import eventually
from tests.support.nats import Nats, running

_ALL = [(service, name) for service, names in SUBJECTS.items() for name in names]
_OTHERS = [(caller, service, name) for caller in SUBJECTS for service, name in _ALL if service != caller]


class _Heard:
    """A listener who writes down what comes."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def received(self, key: bytes, payload: bytes) -> None:
        self.keys.append(key)

    def missed(self) -> None:
        pass


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """Run NATS as the suite does."""
    with running(tmp_path_factory.mktemp("nats")) as server:
        yield server


@asynccontextmanager
async def _buses(nats: Nats, *services: str) -> AsyncIterator[list[NatsBus]]:
    """Connect as some services; a service that is named twice has two replicas."""
    buses = [NatsBus(name, parse_servers(nats.url(name), None, None), SystemClock()) for name in services]
    tasks = [asyncio.create_task(bus.run()) for bus in buses]
    try:
        await eventually(lambda: all(bus.is_connected for bus in buses))
        yield buses
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize(("service", "name"), _ALL)
async def test_a_service_uses_its_own_subject_whatever_the_instance_is_called(
    nats: Nats, service: str, name: str
) -> None:
    instances = ["", "a.b", "*", ">", "zoë 🫎", "6c2f1a52"]
    async with _buses(nats, service, service) as (first, second):
        heard = {instance: _Heard() for instance in instances}
        for instance, listener in heard.items():
            await second.subscribe(subject(instance, service, name), listener)
        for instance in instances:
            first.publish(subject(instance, service, name), instance.encode())
        await eventually(lambda: all(listener.keys for listener in heard.values()))
    assert [listener.keys for listener in heard.values()] == [[instance.encode()] for instance in instances]


@pytest.mark.parametrize(("caller", "service", "name"), _OTHERS)
async def test_a_service_can_neither_publish_nor_hear_what_is_anothers(
    nats: Nats, caller: str, service: str, name: str
) -> None:
    place, own = subject("x", service, name), subject("x", caller, SUBJECTS[caller][0])
    stolen, heard, still = _Heard(), _Heard(), _Heard()
    with capture_logs() as logs:
        async with _buses(nats, caller, caller, service, service) as (thief, twin, first, second):
            await second.subscribe(place, heard)
            await thief.subscribe(place, stolen)
            thief.publish(place, b"forged")
            await eventually(lambda: sum(entry["event"] == "bus_refused" for entry in logs) == 2)
            first.publish(place, b"true")
            await eventually(lambda: heard.keys == [b"true"])
            # Over the connection of the thief, which goes on, so that what was true would have come before it.
            await thief.subscribe(own, still)
            twin.publish(own, b"own")
            await eventually(lambda: still.keys == [b"own"])
    assert stolen.keys == []
    refused = {entry["problem"] for entry in logs if entry["event"] == "bus_refused"}
    assert len(refused) == 2
    assert all(f'"{place}"' in problem.replace("'", '"') for problem in refused)


@pytest.mark.parametrize("service", SUBJECTS)
@pytest.mark.parametrize("everything", [">", "chatkit.>", "chatkit.*.*.*", "$SYS.>"])
async def test_no_service_hears_everything(nats: Nats, service: str, everything: str) -> None:
    with capture_logs() as logs:
        async with _buses(nats, service) as (bus,):
            await bus.subscribe(everything, _Heard())
            await eventually(lambda: any(entry["event"] == "bus_refused" for entry in logs))


def test_the_configuration_is_what_the_declaration_says() -> None:
    assert CONFIGURATION.read_text() == configuration(), "run: python -m services.stack.nats > services/stack/nats.conf"


def test_a_subject_that_is_not_declared_is_built_by_nobody() -> None:
    with pytest.raises(ValueError, match="messages has no subject 'reactions'"):
        subject("x", "messages", "reactions")
    with pytest.raises(ValueError, match="files has no subject 'changes'"):
        subject("x", "files", "changes")


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_declared_is_what_a_service_uses(service: str) -> None:
    source = (Path(services.__file__).parent / service / "app.py").read_text()
    used = set(re.findall(r'server\.subject\("(\w+)"\)', source))
    # The feed has a subject of its own (Server.change_feed).
    used |= {"changes"} if "server.change_feed(" in source else set()
    assert used == set(SUBJECTS.get(service, ()))
