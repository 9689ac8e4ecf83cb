"""How often a user may call, by the class of the method: a bucket per user and class, counted in this edge alone.

A call counts as many as its method costs. What comes on a stream is counted by its service, by the same rule
(services/runtime/calls/rates.py).

The user is the `sub` of the verified token, never a header. Tokens without one are superusers' and are not limited.
"""

import math
from datetime import timedelta

from chatkit.contract.v1 import limit_pb2, method_policy_pb2

from services.edge import public
from services.edge.rendering.parts import Json, typed
from services.edge.rendering.tokens import claim
from services.runtime.calls.rates import BURST, REMEMBERED_USERS
from services.runtime.contract.policies import Limits, MethodContract, limit_name

# Under this name a route's metadata says which limits its method is counted by, of the rate and of the size, how long
# its JSON may be, and as how many calls it counts.
METADATA = "chatkit"
RATE, SIZE, JSON_SIZE, COST = "rate", "size", "json_size", "cost"
RATE_FILTER = "envoy.filters.http.local_ratelimit"
LIMIT_OF = {
    method_policy_pb2.RATE_CLASS_REQUEST: limit_pb2.LIMIT_REQUESTS_PER_USER_PER_SECOND,
    method_policy_pb2.RATE_CLASS_SEND: limit_pb2.LIMIT_SENDS_PER_USER_PER_SECOND,
}
_NO_BOUND = 4_294_967_295
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def cost_of(method: MethodContract, limits: Limits) -> int:
    """Return as how many calls one counts: never more than a second gives, so that whoever waits is let through."""
    return min(max(1, method.policy.cost), limits[LIMIT_OF[method.policy.rate_class]])


def rates(limits: Limits) -> list[tuple[int, int]]:
    """List each limit of a rate with what calls of public methods cost of it."""
    methods = (method for _, method in public.methods())
    return sorted({(LIMIT_OF[method.policy.rate_class], cost_of(method, limits)) for method in methods})


def wait(cost: int, per_second: int) -> timedelta:
    """Return how long it takes until an empty bucket has what a call costs; it fills evenly, not once in a second."""
    return timedelta(milliseconds=math.ceil(1000 * cost / per_second))


def rate_filter(limits: Limits) -> Json:
    """Return the filter that counts."""
    return typed(
        RATE_FILTER,
        "filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="rates",
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        rate_limited_as_resource_exhausted=True,
        max_dynamic_descriptors=REMEMBERED_USERS,
        always_consume_default_token_bucket=False,
        token_bucket=_bucket(_NO_BOUND, _NO_BOUND),
        rate_limits=[
            {"actions": [_of_route(), _of_user()], "hits_addend": {"format": f"%METADATA(ROUTE:{METADATA}:{COST})%"}}
        ],
        descriptors=[_descriptor(limit, limits[limit]) for limit in LIMIT_OF.values()],
    )


def _of_route() -> Json:
    where = {"key": METADATA, "path": [{"key": RATE}]}
    return {"metadata": {"descriptor_key": "limit", "metadata_key": where, "source": "ROUTE_ENTRY"}}


def _of_user() -> Json:
    return {"metadata": {"descriptor_key": "user", "metadata_key": claim("sub"), "skip_if_absent": True}}


def _descriptor(limit: "limit_pb2.Limit", per_second: int) -> Json:
    entries = [{"key": "limit", "value": limit_name(limit)}, {"key": "user"}]
    return {"entries": entries, "token_bucket": _bucket(BURST * per_second, per_second)}


def _bucket(most: int, per_second: int) -> Json:
    return {"max_tokens": most, "tokens_per_fill": per_second, "fill_interval": "1s"}
