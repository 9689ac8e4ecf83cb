"""What Envoy answers by itself, in the shape of the contract: code, reason and details, for gRPC and for JSON.

Both faces come from one table. gRPC-Web calls look like gRPC here, and are turned back on their way out.
"""

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf import json_format

from services.runtime.errors import ChatkitError, class_of, to_status

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal: what in Envoy leads to it (response flags, or an HTTP status), and what is answered."""

    flags: tuple[str, ...]
    status: int
    reason: str
    message: str
    retry_after: timedelta | None = None

    def error(self) -> ChatkitError:
        """Return it as the error that a service would have raised."""
        return class_of(self.reason)(self.reason, self.message, retry_after=self.retry_after)


_KEPT_STATUS = "x-chatkit-status"
_SOON = timedelta(milliseconds=500)
# The first that fits is taken. Flags are those of "response flags" in Envoy's documentation of access logs.
REFUSALS = (
    Refusal(("NR",), 404, "METHOD_NOT_FOUND", "there is no such method"),
    Refusal(("UT", "DT"), 504, "DEADLINE_EXCEEDED", "the service did not answer in time"),
    Refusal(
        ("UH", "UF", "UO", "UC", "UR", "URX", "LR", "NC"),
        503,
        "SERVICE_UNAVAILABLE",
        "the service can't be reached",
        _SOON,
    ),
    Refusal((), 413, "REQUEST_TOO_LARGE", "the request is larger than the method takes"),
    Refusal((), 404, "METHOD_NOT_FOUND", "there is no such method"),
    Refusal((), 408, "DEADLINE_EXCEEDED", "the request did not arrive in time"),
    Refusal((), 400, "REQUEST_MALFORMED", "the request is not one that the method takes"),
    Refusal((), 503, "SERVICE_UNAVAILABLE", "the service can't be reached", _SOON),
)


def local_reply_config() -> Json:
    """Return Envoy's `local_reply_config`."""
    return {"mappers": [mapper for refusal in REFUSALS for mapper in (_grpc(refusal), _json(refusal))]}


def kept_status_filter() -> Json:
    """Return the filter that goes before the one of gRPC-Web, which makes up a status of its own for local replies."""
    kept = {
        "header": {"key": "grpc-status", "value": f"%RESP({_KEPT_STATUS})%"},
        "append_action": "OVERWRITE_IF_EXISTS",
    }
    return {
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"response_mutations": [{"append": kept}, {"remove": _KEPT_STATUS}]},
        },
    }


def _grpc(refusal: Refusal) -> Json:
    status = to_status(refusal.error())
    details = base64.b64encode(status.SerializeToString(deterministic=True)).decode().rstrip("=")
    is_grpc = _header_filter("content-type", string_match={"prefix": "application/grpc"})
    # The transcoder makes gRPC of a JSON call, and leaves this header.
    is_no_json = _header_filter("x-envoy-original-path", present_match=True, invert_match=True)
    return {
        "filter": {"and_filter": {"filters": [is_grpc, is_no_json, _cause(refusal)]}},
        "status_code": 200,
        "body": {"inline_string": refusal.message},
        "headers_to_add": [
            _header("grpc-status", str(status.code)),
            _header(_KEPT_STATUS, str(status.code)),
            _header("grpc-status-details-bin", details),
        ],
    }


def _json(refusal: Refusal) -> Json:
    return {
        "filter": _cause(refusal),
        "status_code": refusal.status,
        "body_format_override": {
            "json_format": json.loads(json_format.MessageToJson(to_status(refusal.error()))),
            "content_type": "application/json",
        },
    }


def _cause(refusal: Refusal) -> Json:
    if refusal.flags:
        return {"response_flag_filter": {"flags": list(refusal.flags)}}
    value = {"default_value": refusal.status, "runtime_key": f"chatkit.refusal.{refusal.status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _header_filter(name: str, **match: Any) -> Json:
    return {"header_filter": {"header": {"name": name, **match}}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
