"""Content over HTTP, for browsers, players and curl: PUT, GET and HEAD at signed URLs.

The signature is all that is asked for: it says which file, for what, and until when. Errors are the suite's own, in
JSON as the edge writes them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import cast
from uuid import uuid4

import grpc
import structlog
from chatkit.files.v1 import file_pb2, files_service_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message as ProtoMessage
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from services.files import protos
from services.files.content import serving
from services.files.content.places import Bounds, Place, Places, overloaded
from services.files.content.uploads import Uploads
from services.files.content.urls import ATTACHMENT, EXPIRES, PATH, SIGNATURE, FileUrls, Purpose
from services.files.model import File, FileUid, essence, file_uid
from services.files.refusals import mismatch, not_found, not_ready, too_large
from services.files.service import Files
from services.runtime.calls.spelling import JsonNames
from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    ChatkitError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
    Unimplemented,
    http_status_of,
    invalid_field,
    to_status,
)

HEALTH_PATH = "/health"
# What UploadFile has by its policy.
_UPLOAD_SECONDS = 600.0
_UNKNOWN, _DIGITS = -1, 19
_log = structlog.get_logger()
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 408,
}
# How much of a body is read away before a PUT is refused, and for how long. Many clients look for an answer only when
# they have sent everything, and hear of nothing but a reset connection when it is closed before.
_READ_AWAY_BYTES, _READ_AWAY_SECONDS = 64 * 1024 * 1024, 10.0
# What is wrong with these is not the request, and its body is no reason to stay.
_NOT_READ_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL}
_SOON = timedelta(seconds=1)
# All that is answered here is JSON, and of a file's fields alone something can be wrong.
_NAMES = JsonNames(cast("Descriptor", file_pb2.File.DESCRIPTOR))


class FilesHttp:
    """The routes."""

    def __init__(
        self,
        files: Files,
        uploads: Uploads,
        urls: FileUrls,
        clock: Clock,
        *,
        is_ending: Callable[[], bool],
        bounds: Bounds,
        file_bytes: int,
    ) -> None:
        self._files = files
        self._file_bytes = file_bytes
        self._uploads = uploads
        self._urls = urls
        self._is_ending = is_ending
        # By file, because a URL says of nobody who opens it, and anybody can open it any number of times.
        self.downloads = Places("downloads", clock, bounds, _too_many_of_file)
        routes = [
            Route(HEALTH_PATH, self._health, methods=["GET"]),
            Route(PATH + "{file_id}", self._answering(self._put), methods=["PUT"]),
            Route(PATH + "{file_id}", self._answering(self._get), methods=["GET"]),
        ]
        # Whatever the path or the verb is: there is no such method.
        self.app = Starlette(routes=routes, exception_handlers={404: _nothing, 405: _nothing})

    async def _health(self, _request: Request) -> Response:
        # So that the edge turns to other replicas while this one still serves.
        if self._is_ending():
            return Response("ending\n", 503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    async def _put(self, request: Request) -> Response:
        if "content-range" in request.headers:
            # RFC 9110, 14.4: whoever took it for the whole would have a part for the content.
            raise InvalidArgument("REQUEST_MALFORMED", "content is put as a whole: there must be no content-range")
        if _length(request) > self._file_bytes:
            raise too_large(self._file_bytes)
        file = await self._files.find(str(self._signed(request, Purpose.UPLOAD)))
        _check_declared(request, file)
        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                ready = await self._uploads.take(file, request.stream())
        except TimeoutError:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "the content took too long to arrive") from None
        message = protos.file_message(ready, await self._files.download_url(ready))
        response = _json(files_service_pb2.UploadFileResponse(file=message), 200)
        response.headers["etag"] = serving.etag(ready)
        return response

    async def _get(self, request: Request) -> Response:
        file = await self._files.find(str(self._signed(request, Purpose.DOWNLOAD)))
        if not file.has_content:
            raise not_ready(file.id)
        is_saved = request.query_params.items() >= ATTACHMENT.items()
        headers, tag = serving.headers(file, attachment=is_saved), serving.etag(file)
        if serving.names(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        try:
            part = _part(request, file, tag)
        except serving.UnsatisfiableRangeError:
            return _no_such_part(file, tag)
        start, end = (part.start, part.end) if part is not None else (0, file.size_bytes)
        headers["content-length"] = str(end - start)
        if part is not None:
            headers["content-range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        with ExitStack() as held:
            place = held.enter_context(self.downloads.held(file.uid))
            pieces = self._files.content(file, start, end)
            # The first one before the head, so that content which is not there is an error and no broken answer.
            first = await anext(pieces, b"")
            return _Content(_joined(first, pieces), status, headers, place, held.pop_all())

    def _signed(self, request: Request, purpose: Purpose) -> FileUid:
        file_id = request.path_params["file_id"]
        uid, query = file_uid(file_id), request.query_params
        if uid is None:
            raise not_found(file_id)
        self._urls.check(purpose, uid, query.get(EXPIRES, ""), query.get(SIGNATURE, ""))
        return uid

    def _answering(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Answer what is raised as the suite's errors are answered everywhere."""

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                # Nobody reads it.
                return Response(status_code=400)
            except asyncio.CancelledError:
                # The listener waits for open calls no longer, and nobody else cancels one; left to itself it says 500.
                return _ended(request, refusal(_shutting_down()))
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                known = _known(error)
                if request.method == "PUT" and known.code not in _NOT_READ_AWAY and await _read_away(request):
                    return _answer_of(known)
                return _ended(request, _answer_of(known))

        return answer


def _ended(request: Request, response: Response) -> Response:
    """Let the connection end with the answer where the client may go on sending, which would be read for ever."""
    if request.method == "PUT":
        response.headers["connection"] = "close"
    return response


async def _read_away(request: Request) -> bool:
    """Let a client come to the end of what it sends, within bounds; return whether it did."""
    left = _READ_AWAY_BYTES
    try:
        async with asyncio.timeout(_READ_AWAY_SECONDS):
            async for piece in request.stream():
                left -= len(piece)
                if left < 0:
                    return False
    except (TimeoutError, ClientDisconnect):
        return False
    except RuntimeError:
        # It was at its end already.
        return True
    return True


def _shutting_down() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "the process is shutting down: repeat the call", retry_after=_SOON)


def _too_many_of_file(most: int) -> Unavailable:
    return overloaded(f"the process sends this content {most} times already")


class _Content(StreamingResponse):
    """Content on its way; whoever reads too slowly loses the connection. `held` is let go with its end."""

    def __init__(
        self, pieces: AsyncIterator[bytes], status: int, headers: dict[str, str], place: Place, held: ExitStack
    ) -> None:
        super().__init__(pieces, status, headers)
        self._place = place
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def paced(message: Message) -> None:
            nonlocal has_begun
            with self._place.waiting():
                has_begun = True
                await send(message)
            self._place.moved(len(message.get("body", b"")))

        with self._held:
            try:
                await super().__call__(scope, receive, paced)
            except ChatkitError as error:
                # An answer that has begun can't become another one: its connection is cut.
                if has_begun:
                    raise
                await refusal(error)(scope, receive, send)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _length(request: Request) -> int:
    """Return how long the body is said to be."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= _DIGITS else _UNKNOWN


def _check_declared(request: Request, file: File) -> None:
    """Refuse by the headers what the content would be refused for, before it is sent."""
    length = _length(request)
    if length not in {_UNKNOWN, file.size_bytes}:
        raise mismatch("size_bytes", file.size_bytes, length)
    told = request.headers.get("content-type", "")
    if told and essence(told) != essence(file.content_type):
        raise mismatch("content_type", file.content_type, told)


def _part(request: Request, file: File, tag: str) -> serving.Range | None:
    header = request.headers.get("range", "")
    # A range of what is there no longer would be joined with what the client has of something else.
    if not header or request.headers.get("if-range", tag) != tag:
        return None
    return serving.wanted_range(header, file.size_bytes)


def _no_such_part(file: File, tag: str) -> Response:
    """Say how long the content is: a client that has all of it asks for what comes after."""
    description = f"no part of the content, which has {file.size_bytes} bytes, is in the range"
    status = to_status(invalid_field("FIELD_INVALID", "range", description))
    response = _json(status, 416)
    response.headers.update({"content-range": f"bytes */{file.size_bytes}", "etag": tag})
    return response


def refusal(error: Exception) -> Response:
    """Return the answer for an error."""
    return _answer_of(_known(error))


def _known(error: Exception) -> ChatkitError:
    """Return the error that is told, of which the log says more when it is internal."""
    if isinstance(error, ChatkitError) and not isinstance(error, Internal):
        return error
    error_id = uuid4().hex
    _log.error("call_failed", method="http", error_id=error_id, exc_info=error)
    return Internal("INTERNAL", f"internal error {error_id}", metadata={"error_id": error_id})


def _answer_of(known: ChatkitError) -> Response:
    status = http_status_of(known.reason) or _HTTP_STATUS.get(known.code, 500)
    response = _json(to_status(_NAMES.spelled(known)), status)
    if known.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(known.retry_after.total_seconds())))
    return response


def _json(message: ProtoMessage, status: int) -> Response:
    text = json_format.MessageToJson(message, always_print_fields_with_no_presence=True)
    headers = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
    return Response(text + "\n", status, headers, "application/json")


async def _nothing(_request: Request, _error: Exception) -> Response:
    return refusal(Unimplemented("METHOD_NOT_FOUND", "there is no such method"))
