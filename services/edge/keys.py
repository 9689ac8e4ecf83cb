"""The keys of tokens, for Envoy alone: read from the deployment's files at every question, so that they can rotate.

Secrets leave this process only through a Unix socket in the run folder, which nobody but the owner can open.
"""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from services.edge.rendering.tokens import KEYS_PATH
from services.runtime.identity.keys import Key, Keyring, PublicKey

_QUESTION_SECONDS = 5.0


def jwks(keys: Iterable[Key]) -> str:
    """Return the keys as a JWK set. Each verifies one algorithm, so that a token can't choose another for it."""
    return json.dumps({"keys": [_jwk(key) for key in keys]})


@asynccontextmanager
async def serving(path: Path, keyring: Keyring) -> AsyncIterator[None]:
    """Answer questions for the keys on a Unix socket while the context is open."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_QUESTION_SECONDS):
                question = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(question, keyring))
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, sock=_private_socket(path))
    async with server:
        yield


def _private_socket(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    # Before it listens, so that nobody was let in meanwhile.
    path.chmod(0o600)
    return bound


def _answer(question: bytes, keyring: Keyring) -> bytes:
    if not question.startswith(f"GET {KEYS_PATH} ".encode()):
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    keyring.look()
    body = jwks(keyring.keys.api).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def _jwk(key: Key) -> Any:
    if isinstance(key, PublicKey):
        return json.loads(key.jwk)
    shared = base64.urlsafe_b64encode(key.secret.encode()).decode().rstrip("=")
    return {"kty": "oct", "alg": key.algorithm, "k": shared}
