"""Which replicas get calls: not those that drain or can't be reached, and still those whose database is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from chatkit.files.v1 import files_service_pb2 as files_pb2

from services.runtime.contract.errors import Unavailable
from tests.edge.calling import Call
from tests.support import tokens
from tests.support.backend import nobody, running_backend
from tests.support.edge import Edge, running_edge
from tests.support.eventually import until
from tests.support.suite import Suite

# A superuser's, who has no rate.
_CALL = Call(token=lambda: tokens.token(None, su=True))


async def test_what_an_application_answers_ejects_no_replica(suite: Suite, short_path: Path) -> None:
    async with (
        running_backend() as one,
        running_backend() as other,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=f"{one.address},{other.address}") as edge,
    ):
        for backend in (one, other):
            backend.refusal = Unavailable(
                "DATABASE_UNAVAILABLE", "the database is away", retry_after=timedelta(milliseconds=1)
            )
        for _ in range(50):
            told = await _CALL.by("grpc", edge)
            assert told is not None
            assert told.error.reason == "DATABASE_UNAVAILABLE"
        # Every one of them arrived once: nothing was repeated, nobody was left out.
        assert len(one.calls) + len(other.calls) == 50
        assert await edge.stat("cluster.users.outlier_detection.ejections_enforced_total") == 0
        assert await edge.stat("cluster.users.membership_healthy") == 2
        one.refusal = other.refusal = None
        assert await _CALL.by("grpc", edge) is None


async def test_a_replica_that_can_not_be_reached_is_passed_over(suite: Suite, short_path: Path) -> None:
    held = nobody()
    async with (
        running_backend() as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=f"{backend.address},{held.address}") as edge,
    ):
        for _ in range(50):
            assert await _CALL.by("grpc", edge) is None
        assert len(backend.calls) == 50
    held.release()


@asynccontextmanager
async def _breaking_off() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run what listens for HTTP, says that it is well, and breaks off whatever it is asked; it notes what that was."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health "):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            asked.append(head.split(b" ")[0])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"{host}:{port}", asked


async def test_content_goes_elsewhere_when_a_replica_can_not_be_reached_or_breaks_off(
    suite: Suite, short_path: Path
) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    held, serving = nobody(), suite.servers["files"].http_address
    content = bytes(50_000)
    async with _breaking_off() as (broken, asked):
        addresses = f"{serving},{held.address},{broken}"
        async with running_edge(suite, short_path, CHATKIT_FILES_HTTP_ADDRESS=addresses) as edge:
            for number in range(20):
                create = files_pb2.CreateFileRequest(
                    room_id="lobby", content_type="image/png", size_bytes=len(content), request_id=f"{number}"
                )
                created = await suite.files.CreateFile(create, metadata=tokens.user("alice"))
                answer = await edge.http.put(_on(edge, created.upload_url), content=content)
                assert answer.status_code == 200, answer.text
                answer = await edge.http.get(_on(edge, answer.json()["file"]["downloadUrl"]))
                assert (answer.status_code, answer.content) == (200, content)
        assert {b"PUT", b"GET"} <= set(asked)
    held.release()


def _on(edge: Edge, url: str) -> str:
    """Return a URL of files at an edge that they were not told of."""
    return f"http://{edge.address}/files/{url.partition('/files/')[2]}"


async def test_a_replica_that_drains_gets_no_new_calls(suite: Suite, short_path: Path) -> None:
    async with (
        running_backend() as draining,
        running_backend() as staying,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=f"{draining.address},{staying.address}") as edge,
    ):
        while not (draining.calls and staying.calls):
            assert await _CALL.by("grpc", edge) is None
        draining.is_serving = False

        async def is_left_out() -> bool:
            return await edge.stat("cluster.users.membership_healthy") == 1

        await until(is_left_out)
        before = len(draining.calls)
        for _ in range(50):
            assert await _CALL.by("grpc", edge) is None
        assert len(draining.calls) == before
        draining.is_serving = True

        async def is_back() -> bool:
            return await _CALL.by("grpc", edge) is None and len(draining.calls) > before

        await until(is_back)


async def test_services_hear_the_token_and_nothing_that_only_envoy_says(suite: Suite, short_path: Path) -> None:
    async with (
        running_backend() as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=backend.address) as edge,
    ):
        assert await _CALL.by("grpc", edge, **{"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "9"}) is None
        assert str(backend.headers["authorization"]).startswith("Bearer ")
        assert backend.headers["x-request-id"]
        assert not {"x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-internal"} & backend.headers.keys()


async def test_an_answer_that_the_edge_can_not_read_is_told_in_the_suites_words(suite: Suite, short_path: Path) -> None:
    async with (
        running_backend() as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=backend.address) as edge,
    ):
        backend.trailers = (("x-large", "x" * 100_000),)
        for face in ("grpc", "grpc-web", "json"):
            told = await _CALL.by(face, edge)
            assert told is not None
            assert told.error.reason == "SERVICE_UNAVAILABLE"
