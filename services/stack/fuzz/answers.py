"""What an answer says, whichever face it came by: a code of gRPC, and a reason."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.stack.fuzz.inputs import Answer, Face

OK = "OK"
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_FIRST_ERROR = 400
_TRAILERS = 0x80
_PREFIX_BYTES = 5
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, slots=True)
class Told:
    """The code and the reason; without a code nobody has said how it ended."""

    code: str = ""
    reason: str = ""
    message: str = ""


def told_by(face: Face, answer: Answer) -> Told:
    """Read an answer."""
    head = dict(answer.head)
    if head.get("content-type", "").startswith("application/grpc-web"):
        head |= _trailers(answer)
    if "grpc-status" in head:
        return _of_grpc(head)
    if answer.status >= _FIRST_ERROR:
        return _of_json(answer)
    # gRPC over HTTP/1.1, which there is not, loses its trailers.
    if face.is_http2 or (face is Face.WEB and head.get("content-type", "").startswith("application/grpc-web")):
        return Told()
    return Told(OK)


def _of_grpc(head: dict[str, str]) -> Told:
    number = head["grpc-status"]
    code = _CODES.get(int(number), number) if number.isdigit() else number
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    packed = head.get("grpc-status-details-bin", "")
    try:
        status.ParseFromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    except (DecodeError, binascii.Error):
        return Told(code, "", "its details can't be read")
    for detail in status.details:
        detail.Unpack(info)
    return Told(code, info.reason, head.get("grpc-message", ""))


def _of_json(answer: Answer) -> Told:
    try:
        status: Any = json.loads(answer.body or b"{}")
    except ValueError:
        status = None
    if not isinstance(status, dict) or "code" not in status:
        return Told(f"HTTP {answer.status}", "", answer.body[:200].decode("utf-8", "replace"))
    details = status.get("details", [])
    reason = next((one.get("reason", "") for one in details if one.get("@type") == _INFO), "")
    return Told(_CODES.get(status["code"], str(status["code"])), reason, str(status.get("message", "")))


def _trailers(answer: Answer) -> dict[str, str]:
    """Return what stands in the last frame of a body of gRPC-Web."""
    body = answer.body
    if "text" in answer.head.get("content-type", ""):
        body = _from_base64(body)
    place = 0
    while place + _PREFIX_BYTES <= len(body):
        kind, size = body[place], int.from_bytes(body[place + 1 : place + _PREFIX_BYTES], "big")
        place += _PREFIX_BYTES
        if kind & _TRAILERS:
            lines = body[place : place + size].decode("latin-1").split("\r\n")
            return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        place += size
    return {}


def _from_base64(body: bytes) -> bytes:
    """Decode what was written in pieces, each padded for itself."""
    decoded = b""
    for start in range(0, len(body) - 3, 4):
        try:
            decoded += base64.b64decode(body[start : start + 4])
        except binascii.Error:
            return decoded
    return decoded
