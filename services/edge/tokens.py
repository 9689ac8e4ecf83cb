"""Who may call: Envoy's rules for tokens. The keys themselves are fetched from this process and stand in no file.

The signature, the times, the issuer's kind and the instance are checked here; the services verify the token again.
"""

from typing import Any

from chatkit.contract.v1 import limit_pb2

from services.edge.parts import Json, typed
from services.runtime.api_keys import API_ISSUER
from services.runtime.contract import Limits

JWT_FILTER = "envoy.filters.http.jwt_authn"
CLAIMS_FILTER = "envoy.filters.http.rbac"
KEYS_CLUSTER = "keys"
KEYS_PATH = "/keys.json"
_PAYLOAD = "payload"
# Both spellings that clients use; Envoy compares them letter by letter.
_PREFIXES = ("Bearer ", "bearer ")
# What the services admit between two clocks.
_CLOCK_SKEW_SECONDS = 5


def claim(name: str) -> Json:
    """Return where a claim of a verified token is found by the filters that come later."""
    return {"key": JWT_FILTER, "path": [{"key": _PAYLOAD}, {"key": name}]}


def jwt_filter() -> Json:
    """Return the filter that verifies the token of the Authorization header, and of nothing else."""
    provider = {
        "from_headers": [{"name": "authorization", "value_prefix": prefix} for prefix in _PREFIXES],
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
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
    """Return the filter that looks at what a verified token says: whose key, which instance, how long."""
    conditions = [_claim_is("iss", prefix=API_ISSUER), _claim_is("instance", exact=instance)]
    most = max(map(len, _PREFIXES)) + limits[limit_pb2.LIMIT_TOKEN_CHARS]
    policy = {
        "permissions": [{"any": True}],
        "principals": [{"and_ids": {"ids": conditions}}],
        "condition": _at_most(_size(_header("authorization")), most),
    }
    return typed(
        CLAIMS_FILTER,
        "filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": {"customers": policy}},
    )


def _claim_is(name: str, **match: str) -> Json:
    where = claim(name)
    matcher = {"filter": where["key"], "path": where["path"], "value": {"string_match": match}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


# A condition is written as the tree of its expression: Envoy does not parse it here.
def _at_most(left: Json, most: int) -> Json:
    return _call("_<=_", left, {"const_expr": {"int64_value": most}})


def _size(what: Json) -> Json:
    return _call("size", what)


def _header(name: str) -> Json:
    headers = {"select_expr": {"operand": {"ident_expr": {"name": "request"}}, "field": "headers"}}
    return _call("_[_]", headers, {"const_expr": {"string_value": name}})


def _call(function: str, *arguments: Any) -> Json:
    return {"call_expr": {"function": function, "args": list(arguments)}}
