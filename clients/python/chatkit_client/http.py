"""A PUT to a signed URL with nothing but the standard library, which blocks: it is made in a thread."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import BinaryIO
from urllib.parse import urlsplit

import grpc

from chatkit_client.errors import ChatkitError, from_http

_PIECE_BYTES = 64 * 1024
_OK = range(200, 300)


async def put(
    url: str,
    headers: Mapping[str, str],
    content: BinaryIO,
    size: int,
    tell: Callable[[int, int], None],
    seconds: float,
) -> None:
    """Send content, telling how far it is.

    Raises ChatkitError, OSError where the content can't be read, and SSLCertVerificationError.
    """
    loop = asyncio.get_running_loop()
    is_unwanted = threading.Event()

    def read() -> bytes:
        if is_unwanted.is_set():
            raise _Unwanted
        try:
            return content.read(_PIECE_BYTES)
        except OSError as error:
            raise _Unreadable from error

    def pieces() -> Iterator[bytes]:
        done = 0
        while piece := read():
            yield piece
            done += len(piece)
            loop.call_soon_threadsafe(tell, done, size)

    try:
        status, body = await asyncio.to_thread(_put, url, headers, pieces(), seconds)
    except _Unreadable as error:
        raise error.__cause__ or error from None
    except ssl.SSLCertVerificationError:
        raise
    except (HTTPException, OSError) as error:
        raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", f"the content was not sent: {error!r}") from error
    finally:
        is_unwanted.set()
    if status not in _OK:
        raise from_http(status, body)


class _Unwanted(Exception):
    """Nobody waits for the answer any more."""


class _Unreadable(Exception):
    """The content can't be read, for a cause that is not the network's."""


def _put(url: str, headers: Mapping[str, str], body: Iterator[bytes], seconds: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=seconds)
    try:
        # Where it was refused before all was sent, the answer may be there.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("PUT", f"{parts.path}?{parts.query}", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
