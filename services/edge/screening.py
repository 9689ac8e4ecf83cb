"""What of a call goes on to a service: the headers that somebody reads there, and one whole message.

gRPC takes many headers for its own, fails without a reason when it can't read one, and remembers that for the calls of
others on the same connection. It fails without a reason as well when a message is not framed as it should be. So both
are settled here, for all faces, after everything that reads a client's headers.
"""

from services.edge import public
from services.edge.parts import Json, typed

SCREEN_FILTER = "envoy.filters.http.lua"
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

local function screen_headers(headers)
  local seen, dropped = {}, {}
  for name, value in pairs(headers) do
    if name:sub(1, 1) ~= ":" then
      local is_long = #value > %(most_chars)d and name ~= "authorization"
      if is_long or seen[name] or not passed[name] then
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
  if #(headers:get(":authority") or "") > %(most_chars)d then
    headers:replace(":authority", "chatkit")
  end
end

-- A message is preceded by a byte that is 1 when it is compressed, and by its length. A compressed one is refused:
-- nobody has counted how large it is.
local function is_one_message(body)
  local size = body:length()
  if size < 5 then
    return false
  end
  local compressed, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  return compressed == 0 and ((a * 256 + b) * 256 + c) * 256 + d == size - 5
end

function envoy_on_request(call)
  local headers = call:headers()
  screen_headers(headers)
  if not in_frames[headers:get(":path")] then
    local body = call:body()
    -- A call without a message is answered by the service.
    if body and body:length() > 0 and not is_one_message(body) then
      call:respond({[":status"] = "400"}, "")
    end
  end
end
"""


def screen_filter() -> Json:
    """Return the filter, which goes behind those that hold a body back until it is whole."""
    # The frames of an upload come one by one, and the service counts them.
    in_frames = sorted(method.path for _, method in public.methods() if method.streams_requests)
    script = _SCRIPT % {"passed": _set(_PASSED), "in_frames": _set(in_frames), "most_chars": _MOST_CHARS}
    return typed(
        SCREEN_FILTER, "filters.http.lua.v3.Lua", default_source_code={"inline_string": script}, clear_route_cache=False
    )


def _set(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f'["{name}"] = true' for name in names)
