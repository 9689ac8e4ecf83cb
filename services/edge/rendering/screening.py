"""What of a call goes on to a service: the headers that somebody reads there, and one whole message.

And what of an answer goes back: gRPC itself refuses some calls for a service, and gives no reason. One is put in here.

gRPC takes many headers for its own, fails without a reason when it can't read one, and remembers that for the calls of
others on the same connection. It fails without a reason as well when a message is not framed as it should be. So both
are settled here, for all faces, after everything that reads a client's headers.
"""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import grpc
from google.rpc import status_pb2

from services.edge import public
from services.edge.rendering.parts import Json, typed
from services.runtime.contract.errors import (
    ChatkitError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
    to_status,
)

SCREEN_FILTER = "envoy.filters.http.lua"
# The header by which the script tells the mapping of refusals what is wrong with a message; no client sees it.
FAULT_HEADER = "x-chatkit-fault"
FRAMING, COMPRESSION, JSON = "framing", "compression", "json"
# What is said of each.
FAULTS = {
    FRAMING: "the body is not one message, preceded by a byte that is 0 and its length in four",
    COMPRESSION: "the message is compressed: messages are taken as they are",
    JSON: "the method is for gRPC only: its requests and its answers are streams",
}
# When to come back where nobody says it better.
SOON = timedelta(milliseconds=500)
# How many headers a call may have. HEADERS_BYTES bounds their size.
MOST_HEADERS = 1000
# What is longer, and not bounded by a rule of its own, is nothing that a service reads.
_MOST_CHARS = 512
_PASSED = (
    "authorization",
    "content-type",
    "te",
    "user-agent",
    "grpc-timeout",
    "x-request-id",
    "traceparent",
    "tracestate",
    # By which a refusal tells JSON from gRPC.
    "x-envoy-original-path",
)
_SCRIPT = """\
local passed = {%(passed)s}
local in_frames = {%(in_frames)s}
-- What an answer without a reason is told with: the code and the details, by the code that came.
local told = {
%(told)s
}

local function screen_headers(headers)
  local seen, dropped = {}, {}
  for name, value in pairs(headers) do
    if name:sub(1, 1) ~= ":" then
      local is_long = #value > %(most_chars)d and name ~= "authorization"
      -- gRPC in Python fails to read what is no ASCII, and tells its standard error so.
      if is_long or seen[name] or not passed[name] or value:find("[^ -~]") then
        dropped[name] = true
      end
      seen[name] = true
    end
  end
  for name in pairs(dropped) do
    headers:remove(name)
  end
  -- Whatever came is gRPC by now.
  headers:replace("content-type", "application/grpc")
  headers:replace("te", "trailers")
  local wait = headers:get("grpc-timeout")
  if wait and not (#wait <= 9 and wait:match("^%%d+[HMSmun]$")) then
    headers:remove("grpc-timeout")
  end
  local authority = headers:get(":authority") or ""
  if #authority > %(most_chars)d or authority:find("[^ -~]") then
    headers:replace(":authority", "chatkit")
  end
end

-- A message is preceded by a byte that is 1 when it is compressed, and by its length. A compressed one is refused:
-- nobody has counted how large it is.
local function fault_of(body)
  local size = body:length()
  if size < 5 then
    return "%(framing)s"
  end
  local compressed, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  if compressed == 1 then
    return "%(compression)s"
  end
  local is_whole = compressed == 0 and ((a * 256 + b) * 256 + c) * 256 + d == size - 5
  return not is_whole and "%(framing)s" or nil
end

function envoy_on_request(call)
  local headers = call:headers()
  screen_headers(headers)
  if in_frames[headers:get(":path")] then
    call:streamInfo():dynamicMetadata():set("%(filter)s", "in_frames", true)
    return
  end
  local body = call:body()
  -- A call without a message is answered by the service.
  local fault = body and body:length() > 0 and fault_of(body)
  if fault then
    call:respond({[":status"] = "400", ["%(fault_header)s"] = fault}, "")
  end
end

-- A service that fails by itself gives a reason. Of frames that come one by one it is gRPC that can't read one.
local function tell(fields, call)
  local code = fields:get("grpc-status")
  if code and code ~= "0" and not fields:get("grpc-status-details-bin") then
    local instead = told[code] or told["13"]
    local seen = call:streamInfo():dynamicMetadata():get("%(filter)s")
    if code == "13" and seen and seen.in_frames then
      instead = told["frame"]
    end
    fields:replace("grpc-status", instead[1])
    fields:replace("grpc-message", instead[2])
    fields:replace("grpc-status-details-bin", instead[3])
  end
end

function envoy_on_response(call)
  local headers = call:headers()
  -- What the edge answers by itself has its reason, and content is no gRPC.
  if headers:get("grpc-status") then
    tell(headers, call)
  elseif headers:get("content-type") == "application/grpc" then
    local trailers = call:trailers()
    if trailers then
      tell(trailers, call)
    end
  end
end
"""


def screen_filter() -> Json:
    """Return the filter, which goes behind those that hold a body back until it is whole."""
    # The frames of a stream come one by one, and the service counts them.
    in_frames = sorted([*public.REFLECTION_PATHS, *_of_streams_of_requests()])
    script = _SCRIPT % {
        "passed": _set(_PASSED),
        "in_frames": _set(in_frames),
        "most_chars": _MOST_CHARS,
        "told": _told(),
        "filter": SCREEN_FILTER,
        "fault_header": FAULT_HEADER,
        "framing": FRAMING,
        "compression": COMPRESSION,
    }
    return typed(
        SCREEN_FILTER, "filters.http.lua.v3.Lua", default_source_code={"inline_string": script}, clear_route_cache=False
    )


def _of_streams_of_requests() -> Iterator[str]:
    return (method.path for _, method in public.methods() if method.streams_requests)


def details_header(status: status_pb2.Status) -> str:
    """Return what `grpc-status-details-bin` says of a status."""
    return base64.b64encode(status.SerializeToString(deterministic=True)).decode().rstrip("=")


def _told() -> str:
    """Return the script's table of what is said of gRPC's own refusals, by the numbers of their codes."""
    told = {str(code.value[0]): _error_of(code) for code in grpc.StatusCode if code is not grpc.StatusCode.OK}
    told["frame"] = InvalidArgument("REQUEST_MALFORMED", "a frame can't be read, or it is compressed")
    return "\n".join(f"  [{json.dumps(key)}] = {{{', '.join(map(json.dumps, _fields(told[key])))}}}," for key in told)


def _error_of(code: grpc.StatusCode) -> ChatkitError:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("DEADLINE_EXCEEDED", "the service did not answer in time")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return Unavailable("SERVICE_UNAVAILABLE", "the service can't be reached", retry_after=SOON)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.UNIMPLEMENTED:
            # A frame that is too long, compressed, or not framed as it should be.
            return InvalidArgument("REQUEST_MALFORMED", "the request is not one that the method takes")
    return Internal("INTERNAL", "the service failed")


def _fields(error: ChatkitError) -> tuple[str, str, str]:
    status = to_status(error)
    return str(status.code), quote(status.message), details_header(status)


def _set(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f'["{name}"] = true' for name in names)
