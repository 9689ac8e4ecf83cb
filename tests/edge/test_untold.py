"""Where every call is told of, in lines and in spans, neither has what was said, a token or a secret."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from chatkit_client import connect, types
from services.edge.reference import examples
from services.edge.reference.contract import methods
from tests.edge.calling import Call
from tests.support import tokens
from tests.support.collector import collecting
from tests.support.databases import TestDatabase
from tests.support.edge import running_edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.reference_world import TEXT, world
from tests.support.running_examples import run
from tests.support.suite import running
from tests.support.untold import logged, told

# What the examples' requests say, and what is in their world before.
_SAID = ("Hello", TEXT)


async def test_lines_and_spans_of_every_method_hold_no_text_token_or_secret(
    database: TestDatabase,
    tmp_path: Path,
    short_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    services = ("users", "rooms", "messages", "files")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        async with (
            running(database, tmp_path, *services, slow_call_seconds=1e-9) as suite,
            running_edge(suite, short_path, CHATKIT_TRACE_PERCENT="100") as edge,
            world(edge, 1) as made,
        ):
            for method in methods():
                async with connect(edge.address, made.token(method)) as client, asyncio.timeout(HANG_SECONDS):
                    await run(client, made.here(examples.python(method)))
            # One message alone would be sent by a call of its own.
            part = types.Part(content_type="text/plain", content=TEXT)
            requests = [types.SendMessageRequest(room_id=made.names["lobby"], parts=[part]) for _ in range(20)]
            async with connect(edge.address, tokens.token(made.names["alice"])) as client:
                assert len([sent async for sent in client.send_many(requests)]) == len(requests)
            for token in (tokens.forged("alice"), tokens.forged("alice", secret="x" * 32), "x"):
                for face in ("grpc", "grpc-web", "json"):
                    await Call(token=partial(str, token)).by(face, edge)
            wanted = {method.contract.path.strip("/") for method in methods()}
            await eventually(lambda: wanted <= {span.name.strip("/") for span in collector.spans})
            log = edge.log
    lines = list(logged(capfd.readouterr().out))
    assert not {path for path in wanted if not any(path in line for line in lines)}
    written = [*lines, *map(str, collector.spans), *log.splitlines()]
    assert not told(written)
    assert not [line for line in written if any(said in line for said in _SAID)]


def test_a_token_and_a_secret_are_found_in_a_line() -> None:
    lines = [f"token={tokens.token('alice')}", f"secret='{tokens.KEY.secret}'", "told=nothing"]
    assert told(lines) == lines[:2]
    assert list(logged("2026-11-29 10:39:43 [info     ] ready\nanything\n" + '{"level": "info"}')) == [
        "2026-11-29 10:39:43 [info     ] ready",
        '{"level": "info"}',
    ]
