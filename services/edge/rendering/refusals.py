"""What Envoy answers by itself, in the shape of the contract: code, reason and details, for gRPC and for JSON.

Both faces come from one table. gRPC-Web calls look like gRPC here, and are turned back on their way out.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from chatkit.contract.v1 import limit_pb2
from google.protobuf import json_format

from services.edge.rendering.json_fields import FIELD_HEADER, PLACE_HEADER
from services.edge.rendering.pages import DRAINING
from services.edge.rendering.parts import Json, typed
from services.edge.rendering.rates import COST, JSON_SIZE, METADATA, RATE, SIZE, rates, wait
from services.edge.rendering.route_parts import OF_CONTENT, OF_METHODS, OF_PAGES, VERBS
from services.edge.rendering.routes import QUERY
from services.edge.rendering.screening import FAULT_HEADER, FAULTS, MOST_HEADERS, SOON, details_header
from services.edge.rendering.sizes import CONTENT_LIMIT, in_json
from services.edge.rendering.tokens import INSTANCE, IS_BEARER, ISSUER, LENGTH
from services.runtime.contract.errors import HTTP_STATUS_KEY, ChatkitError, Violation, class_of, to_status
from services.runtime.contract.policies import Limits, limit_name
from services.runtime.identity.token_rules import subject_must_be

_KEPT_STATUS = "x-chatkit-status"
# The content types that Envoy takes for gRPC and gRPC-Web. Others that begin so are JSON to it.
_GRPC = r"application/grpc(\+.*|-web(-text)?(\+proto)?)?"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal: what in Envoy leads to it, and what is answered.

    All of the conditions that are given must hold: response flags, the HTTP status, an expression in CEL.
    """

    reason: str
    message: str
    status: int
    flags: tuple[str, ...] = ()
    cause: int = 0
    # The smallest HTTP status, instead of one.
    least: int = 0
    when: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    quota: tuple[Violation, ...] = ()
    retry_after: timedelta | None = None

    def error(self) -> ChatkitError:
        """Return it as the error that a service would have raised."""
        return class_of(self.reason)(
            self.reason,
            self.message,
            metadata=self.metadata,
            violations=self.violations,
            quota=self.quota,
            retry_after=self.retry_after,
        )


def refusals(limits: Limits) -> list[Refusal]:
    """List the refusals; the first that fits is taken. Flags are the response flags of Envoy's access logs."""
    unreachable = "the service can't be reached"
    return [
        Refusal(
            "SHUTTING_DOWN",
            "the edge is about to end: go elsewhere",
            503,
            cause=503,
            when=_route_says(DRAINING, "yes"),
            retry_after=SOON,
        ),
        # It has no path, so no token is looked at, and the rule of instances misses what that would have said.
        Refusal("METHOD_NOT_FOUND", "there is no such method", 404, cause=403, when="request.method == 'CONNECT'"),
        *_tokens(limits),
        *_rates(limits),
        *_sizes(limits),
        Refusal("METHOD_NOT_FOUND", "there is no such method", 404, flags=("NR",)),
        *(
            Refusal("DEADLINE_EXCEEDED", "the service did not answer in time", 504, **cause)
            for cause in ({"flags": ("UT", "DT")}, {"when": "response.code_details == 'max_duration_timeout'"})
        ),
        Refusal(
            "SERVICE_UNAVAILABLE",
            unreachable,
            503,
            flags=("UH", "UF", "UO", "UC", "UR", "URX", "LR", "NC"),
            retry_after=SOON,
        ),
        # Of content whose replica broke off more had arrived than is kept to be sent to another one.
        Refusal("SERVICE_UNAVAILABLE", unreachable, 503, cause=507, retry_after=SOON),
        Refusal("METHOD_NOT_FOUND", "there is no such method", 404, cause=404),
        *(
            Refusal(
                "METHOD_NOT_FOUND",
                f"this path takes {verbs} only",
                405,
                cause=405,
                when=_route_says(VERBS, verbs),
            )
            for verbs in (OF_METHODS, OF_PAGES, OF_CONTENT)
        ),
        Refusal("DEADLINE_EXCEEDED", "the request did not arrive in time", 408, cause=408),
        *_json_faults(),
        *(
            Refusal(
                "REQUEST_MALFORMED", message, 400, cause=400, when=f"response.headers['{FAULT_HEADER}'] == '{fault}'"
            )
            for fault, message in FAULTS.items()
        ),
        Refusal("REQUEST_MALFORMED", "a method's path takes no query", 400, cause=400, when=_route_says(QUERY, "none")),
        *(
            Refusal("REQUEST_MALFORMED", message, 400, cause=cause)
            for cause, message in {
                403: "connections are not upgraded here",
                426: "HTTP/1.0 is not spoken here",
                501: "a body is sent with its length or in chunks, and in no other encoding",
            }.items()
        ),
        Refusal(
            "REQUEST_MALFORMED",
            "the request names no host",
            400,
            cause=400,
            when="response.code_details == 'missing_host_header'",
        ),
        Refusal("REQUEST_MALFORMED", "the request is not one that the method takes", 400, cause=400),
        # 502 is an answer that Envoy could not read.
        *(Refusal("SERVICE_UNAVAILABLE", unreachable, 503, cause=cause, retry_after=SOON) for cause in (502, 503)),
        Refusal("DEADLINE_EXCEEDED", "the service did not answer in time", 504, cause=504),
        # What nobody has thought of has the shape of the others, too.
        Refusal("INTERNAL", "the edge failed", 500, least=500),
        Refusal("REQUEST_MALFORMED", "the request is not one that the method takes", 400, least=400),
    ]


def _tokens(limits: Limits) -> Iterator[Refusal]:
    """Say what is wrong with a token, as a service would say it; whoever shows it has nothing to learn from that.

    The texts of Envoy are those of its library of tokens, with underscores.
    """
    jwt, rule = "jwt_authn_access_denied{", "rbac_access_denied_matched_policy["
    for cause in (401, 403):
        yield _token_invalid("authorization must be Bearer and a token", cause, _BY_RULES_OF_WHO, _NOT_BEARER)
    missing, has_expired = _details_have(jwt + "Jwt_is_missing"), _details_have(jwt + "Jwt_is_expired")
    yield Refusal("TOKEN_MISSING", "the call carries no token", 401, cause=401, when=missing)
    yield Refusal("TOKEN_EXPIRED", "the token has expired", 401, cause=401, when=has_expired)
    yield Refusal(
        "TOKEN_NOT_YET_VALID",
        "the token's nbf is ahead of the clock here",
        401,
        cause=401,
        when=_details_have(jwt + "Jwt_not_yet_valid"),
        retry_after=SOON,
    )
    yield Refusal(
        "SERVICE_UNAVAILABLE",
        "the keys of tokens can't be read",
        503,
        when=_details_have(jwt + "Jwks_remote_fetch_is_failed"),
        retry_after=SOON,
    )
    for details, message in {
        rule + LENGTH: "the token is too long",
        rule + ISSUER: "the token is signed with an unknown key",
        rule + INSTANCE: "the token is of another instance",
    }.items():
        yield _token_invalid(message, 403, _details_have(details))
    for details, message in {
        "Jwt_payload_[sub]": subject_must_be(limits[limit_pb2.LIMIT_ID_CHARS]),
        **{f"Jwt_payload_[{name}]": f"the token's {name} is no time: seconds since 1970" for name in _TIMES},
        "Jwt_payload_[iss]": "the token has no issuer",
        "Jwt_payload_[aud]": "the token's aud is no text and no list of texts",
        "Jwt_verification_fails": "the token has no exp, or its signature or form is wrong",
        "Jwks_doesn": "the token is signed with an unknown key, or in a way that is not accepted",
        "Jwt_header_[alg]": "the token's signature or form is wrong",
        "": "the token can't be read",
    }.items():
        yield _token_invalid(message, 401, _details_have(jwt + details))
    for cause in (401, 403):
        yield _token_invalid("the token is not one that is accepted", cause, _BY_RULES_OF_WHO)


_TIMES = ("exp", "iat", "nbf")
_BY_RULES_OF_WHO = "(response.code_details.startsWith('jwt_authn') || response.code_details.startsWith('rbac'))"
_NOT_BEARER = f"'authorization' in request.headers && !request.headers['authorization'].matches('{IS_BEARER}')"


def _details_have(beginning: str) -> str:
    return f"response.code_details.startsWith('{beginning}')"


def _token_invalid(message: str, cause: int, *conditions: str) -> Refusal:
    return Refusal("TOKEN_INVALID", message, 401, cause=cause, when=" && ".join(conditions))


def _json_faults() -> Iterator[Refusal]:
    """Say in its own words what the script of json_fields has found."""
    place = f"%RESP({PLACE_HEADER})%"
    field = f"%RESP({FIELD_HEADER})%"
    yield Refusal(
        "REQUEST_MALFORMED",
        "%LOCAL_REPLY_BODY%",
        400,
        cause=400,
        when=f"'{FIELD_HEADER}' in response.headers",
        metadata={"field": field, "place": place},
        violations=(Violation(field, "%LOCAL_REPLY_BODY%"),),
    )
    yield Refusal(
        "REQUEST_MALFORMED",
        "%LOCAL_REPLY_BODY%",
        400,
        cause=400,
        when=f"'{PLACE_HEADER}' in response.headers",
        metadata={"place": place},
    )


def _rates(limits: Limits) -> Iterator[Refusal]:
    """Say for each cost of calls how long it takes until an empty bucket has as much: nobody waits longer."""
    for limit, cost in rates(limits):
        name, most = limit_name(limit), limits[limit]
        text = f"the user calls more often than {most} times in a second"
        yield Refusal(
            "RATE_EXCEEDED",
            text,
            429,
            cause=429,
            when=f"{_route_says(RATE, name)} && {_route_says(COST, float(cost))}",
            metadata={"limit": name, "maximum": str(most)},
            quota=(Violation(name, text),),
            retry_after=wait(cost, most),
        )


def _sizes(limits: Limits) -> Iterator[Refusal]:
    for limit, in_json_most in in_json(limits):
        when = f"{_route_says(SIZE, limit_name(limit))} && {_route_says(JSON_SIZE, str(in_json_most))}"
        text = f"the request is larger than {limits[limit]} bytes, or its JSON than {in_json_most}"
        yield _too_large(limit, limits, 413, text, when)
    # Content has the limit of no method.
    text = f"the request is larger than {limits[CONTENT_LIMIT]} bytes"
    yield _too_large(CONTENT_LIMIT, limits, 413, text, _route_says(SIZE, limit_name(CONTENT_LIMIT)))
    headers = limit_pb2.LIMIT_HEADERS_BYTES
    text = f"the request's headers are larger than {limits[headers]} bytes, or more than {MOST_HEADERS}"
    yield _too_large(headers, limits, 431, text, "")


def _too_large(limit: int, limits: Limits, status: int, text: str, when: str) -> Refusal:
    name = limit_name(limit)
    return Refusal(
        "REQUEST_TOO_LARGE",
        text,
        status,
        cause=status,
        when=when,
        metadata={"limit": name, "maximum": str(limits[limit])},
        quota=(Violation(name, text),),
    )


def _route_says(key: str, value: str | float) -> str:
    return f"xds.route_metadata.filter_metadata['{METADATA}']['{key}'] == {value!r}"


def local_reply_config(limits: Limits) -> Json:
    """Return Envoy's `local_reply_config`."""
    return {"mappers": [mapper for refusal in refusals(limits) for mapper in (_grpc(refusal), _json(refusal))]}


def kept_status_filter() -> Json:
    """Return the filter that goes before the one of gRPC-Web, which makes up a status of its own for local replies."""
    kept = {
        "header": {"key": "grpc-status", "value": f"%RESP({_KEPT_STATUS})%"},
        "append_action": "OVERWRITE_IF_EXISTS",
    }
    inner = (_KEPT_STATUS, FIELD_HEADER, PLACE_HEADER, FAULT_HEADER, HTTP_STATUS_KEY)
    return typed(
        "envoy.filters.http.header_mutation",
        "filters.http.header_mutation.v3.HeaderMutation",
        mutations={"response_mutations": [{"append": kept}, *({"remove": name} for name in inner)]},
    )


def _grpc(refusal: Refusal) -> Json:
    status = to_status(refusal.error())
    is_grpc = _header_filter("content-type", string_match={"safe_regex": {"regex": _GRPC}})
    # The transcoder makes gRPC of a JSON call, and leaves this header.
    is_no_json = _header_filter("x-envoy-original-path", present_match=True, invert_match=True)
    return {
        "filter": _all_of(is_grpc, is_no_json, *_conditions(refusal)),
        "status_code": 200,
        "body": {"inline_string": refusal.message},
        "headers_to_add": [
            _header("grpc-status", str(status.code)),
            _header(_KEPT_STATUS, str(status.code)),
            _header("grpc-status-details-bin", details_header(status)),
            *_retry_header(refusal),
        ],
    }


def _json(refusal: Refusal) -> Json:
    mapper = {
        "filter": _all_of(*_conditions(refusal)),
        "status_code": refusal.status,
        "body_format_override": {
            "json_format": json.loads(json_format.MessageToJson(to_status(refusal.error()), sort_keys=True)),
            "content_type": "application/json",
        },
    }
    headers = _retry_header(refusal)
    return {**mapper, "headers_to_add": headers} if headers else mapper


def _retry_header(refusal: Refusal) -> list[Json]:
    """Say it in HTTP's words too, which know whole seconds only."""
    seconds = math.ceil(refusal.retry_after.total_seconds()) if refusal.retry_after is not None else 0
    return [_header("retry-after", str(seconds))] if seconds else []


def _conditions(refusal: Refusal) -> Iterator[Json]:
    if refusal.flags:
        yield {"response_flag_filter": {"flags": list(refusal.flags)}}
    if refusal.cause:
        yield _status("EQ", refusal.cause)
    if refusal.least:
        yield _status("GE", refusal.least)
    if refusal.when:
        cel = "envoy.access_loggers.extension_filters.cel"
        yield {
            "extension_filter": typed(cel, "access_loggers.filters.cel.v3.ExpressionFilter", expression=refusal.when)
        }


def _status(comparison: str, status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"chatkit.refusal.{comparison}.{status}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _all_of(*filters: Json) -> Json:
    return filters[0] if len(filters) == 1 else {"and_filter": {"filters": list(filters)}}


def _header_filter(name: str, **match: object) -> Json:
    return {"header_filter": {"header": {"name": name, **match}}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
