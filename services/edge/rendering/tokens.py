"""Who may call: Envoy's rules for tokens. The keys themselves are fetched from this process and stand in no file.

The signature, the times, the issuer's kind and the instance are checked here; the services verify the token again.
"""

from chatkit.contract.v1 import limit_pb2

from services.edge.rendering.parts import Json, typed
from services.runtime.contract.policies import Limits
from services.runtime.identity.api_keys import API_ISSUER
from services.runtime.identity.token_rules import CLOCK_LEEWAY

JWT_FILTER = "envoy.filters.http.jwt_authn"
CLAIMS_FILTER = "envoy.filters.http.rbac"
KEYS_CLUSTER = "keys"
KEYS_PATH = "/keys.json"
_PAYLOAD = "payload"
# Envoy would compare a scheme letter by letter, so it looks for what comes after it, and the scheme is looked at below.
_SEPARATOR = " "
_SCHEME = "bearer "
IS_BEARER = f"^(?i){_SCHEME}"
# The names of the rules for what a verified token says.
SCHEME, LENGTH, ISSUER, INSTANCE = "scheme", "length", "issuer", "instance"


def claim(name: str) -> Json:
    """Return where a claim of a verified token is found by the filters that come later."""
    return {"key": JWT_FILTER, "path": [{"key": _PAYLOAD}, {"key": name}]}


def jwt_filter() -> Json:
    """Return the filter that verifies the token of the Authorization header, and of nothing else."""
    provider = {
        "from_headers": [{"name": "authorization", "value_prefix": _SEPARATOR}],
        "forward": True,
        "require_expiration": True,
        # What lies between is judged by the services, who say how far the clocks are apart.
        "clock_skew_seconds": int(CLOCK_LEEWAY.total_seconds()),
        # No `jwt_cache_config`: what it remembers stays accepted when the key was revoked.
        "payload_in_metadata": _PAYLOAD,
        "remote_jwks": {
            "http_uri": {"uri": f"http://edge{KEYS_PATH}", "cluster": KEYS_CLUSTER, "timeout": "1s"},
            "cache_duration": "2s",
            # Fetched in the background: no call waits for keys, and the listener opens when they are there.
            "async_fetch": {"failed_refetch_duration": "0.5s"},
        },
    }
    return typed(
        JWT_FILTER,
        "filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"chatkit": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "chatkit"}}],
        strip_failure_response=True,
    )


def claims_filter(instance: str, limits: Limits) -> Json:
    """Return the filter that looks at what a verified token says: whose key, which instance, how long.

    Each rule refuses under its own name; what a rule looks at and does not find is refused, too.
    """
    authorization = _header("authorization")
    longest = len(_SCHEME) + limits[limit_pb2.LIMIT_TOKEN_CHARS]
    refused = {
        SCHEME: _when(_not(_call("matches", IS_BEARER, target=authorization))),
        LENGTH: _when(_call("_>_", _call("size", authorization), longest)),
        ISSUER: _unless(_claim_is("iss", prefix=API_ISSUER)),
        INSTANCE: _unless(_claim_is("instance", exact=instance)),
    }
    return typed(
        CLAIMS_FILTER,
        "filters.http.rbac.v3.RBAC",
        rules={"action": "DENY", "policies": refused},
    )


def _claim_is(name: str, **match: str) -> Json:
    where = claim(name)
    matcher = {"filter": where["key"], "path": where["path"], "value": {"string_match": match}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _unless(principal: Json) -> Json:
    return {"permissions": [{"any": True}], "principals": [{"not_id": principal}]}


def _when(condition: Json) -> Json:
    return {"permissions": [{"any": True}], "principals": [{"any": True}], "condition": condition}


# A condition is written as the tree of its expression: Envoy does not parse it here.
def _not(what: Json) -> Json:
    return _call("!_", what)


def _header(name: str) -> Json:
    headers = {"select_expr": {"operand": {"ident_expr": {"name": "request"}}, "field": "headers"}}
    return _call("_[_]", headers, name)


def _call(function: str, *arguments: Json | str | int, target: Json | None = None) -> Json:
    call = {"function": function, "args": [_expression(argument) for argument in arguments]}
    return {"call_expr": call if target is None else {**call, "target": target}}


def _expression(what: Json | str | int) -> Json:
    match what:
        case str():
            return {"const_expr": {"string_value": what}}
        case int():
            return {"const_expr": {"int64_value": what}}
    return what
