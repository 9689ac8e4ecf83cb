"""What policies say, in words: who may call, how often, how long, and what a field must be."""

import re
from collections.abc import Iterator

from chatkit.contract.v1 import error_reason_pb2, field_policy_pb2, method_policy_pb2
from google.protobuf.descriptor import FieldDescriptor

from services.edge.reference.contract import Comments, Method
from services.edge.rendering.rates import LIMIT_OF, cost_of
from services.runtime.contract.policies import Limits, field_policy, limit_name, oneof_required

_SU = method_policy_pb2.AUDIENCE_SUPERUSER
_MEMBERSHIP = {
    method_policy_pb2.MEMBERSHIP_UNSPECIFIED: "members of {room}",
    method_policy_pb2.MEMBERSHIP_REQUIRED: "members of {room}",
    method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC: "members of {room}, and anyone where the room is public",
    method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM: "for each room its members",
    method_policy_pb2.MEMBERSHIP_REQUIRED_OF_USERS: "members of {room}",
}
# What any call may be refused with.
ALWAYS = (
    "DEADLINE_EXCEEDED",
    "FIELD_INVALID",
    "INTERNAL",
    "LIMIT_EXCEEDED",
    "RATE_EXCEEDED",
    "REQUEST_MALFORMED",
    "REQUEST_TOO_LARGE",
    "SERVICE_UNAVAILABLE",
    "SHUTTING_DOWN",
    "TOKEN_EXPIRED",
    "TOKEN_INVALID",
    "TOKEN_MISSING",
    "TOKEN_NOT_YET_VALID",
)
_WORD = re.compile(r"[A-Z][A-Z0-9_]+")


def facts(method: Method, limits: Limits) -> dict[str, str]:
    """Return what the policy of a method says, by what it is about."""
    policy = method.contract.policy
    counted = LIMIT_OF[policy.rate_class]
    told = {"path": f"`{method.contract.path}`", "kind": _kind(method), "who may call": ", ".join(_who(policy))}
    if policy.self_field:
        told["on whose behalf"] = f"`{policy.self_field}`: empty is the token's `sub`; another user's needs `su`"
    told["may be repeated"] = "yes" if policy.repeatable else "only where its request_id says so"
    if not policy.repeatable and "request_id" not in method.contract.request.fields_by_name:
        told["may be repeated"] = "no"
    told["largest request"] = _limit(policy.request_bytes, limits, "bytes")
    told["counts as"] = f"{cost_of(method.contract, limits)} of {_limit(counted, limits, 'a second')}"
    told["longest call"] = f"{policy.deadline_ms / 1000:g} s" if policy.deadline_ms else "until its token expires"
    return told


def _kind(method: Method) -> str:
    match method.contract.streams_requests, method.contract.streams:
        case True, True:
            return "a stream of requests and a stream of answers; gRPC only"
        case True, False:
            return "a stream of requests and one answer"
        case False, True:
            return "one request and a stream of answers; in JSON Server-Sent Events"
    return "one request and one answer"


def _who(policy: method_policy_pb2.MethodPolicy) -> Iterator[str]:
    if policy.audience == _SU:
        yield "tokens with `su`"
        return
    words = _MEMBERSHIP.get(policy.room.membership) if policy.HasField("room") else None
    yield words.format(room=f"`{policy.room.field}`") if words else "anyone with a token"
    if policy.permission:
        yield f"with the permission `{policy.permission}`"
    if policy.permission_for_others:
        yield f"for what is another user's with `{policy.permission_for_others}`"


def _limit(limit: int, limits: Limits, unit: str) -> str:
    return f"{limit_name(limit)} ({limits[limit]:,} {unit})"


def bounds(field: FieldDescriptor, limits: Limits) -> str:
    """Return what a request's field must be, in one line; empty where nothing is asked."""
    return ", ".join(_bounds(field_policy(field), field, limits))


def is_required(field: FieldDescriptor) -> bool:
    """Tell whether a request without the field is refused; of several that exclude each other none is required."""
    oneof = field.containing_oneof
    return field_policy(field).required and (oneof is None or len(oneof.fields) == 1)


def _bounds(policy: field_policy_pb2.FieldPolicy, field: FieldDescriptor, limits: Limits) -> Iterator[str]:
    oneof = field.containing_oneof
    if is_required(field):
        yield "required"
    if oneof is not None and len(oneof.fields) > 1:
        if policy.required:
            yield "not empty"
        yield f"one of `{oneof.name}`{', which is required' if oneof_required(oneof) else ''}"
    if policy.format:
        name = field_policy_pb2.Format.Name(policy.format).removeprefix("FORMAT_")
        yield f"form {name}"
    yield from _sizes(policy, limits)
    if policy.counted_in:
        yield f"counts for {limit_name(policy.counted_in)}"
    if policy.not_negative:
        yield "not negative"
    if policy.permission:
        yield f"needs `{policy.permission}`"


def _sizes(policy: field_policy_pb2.FieldPolicy, limits: Limits) -> Iterator[str]:
    for limit, words in (
        (policy.max_chars, "characters"),
        (policy.max_items, "items"),
        (policy.max_json_bytes, "bytes of JSON"),
        (policy.max_bytes, "bytes"),
        (policy.max_value, "as a number"),
    ):
        if limit:
            yield f"at most {_limit(limit, limits, words)}"
    if policy.min_value:
        yield f"at least {limit_name(policy.min_value)} ({limits[policy.min_value]:,})"
    if policy.page_size.maximum:
        size = policy.page_size
        yield f"0 is {limits[size.default_size]:,}, at most {limit_name(size.maximum)} ({limits[size.maximum]:,})"
    if policy.sum.limit:
        parts = " and ".join(f"`{name}`" for name in policy.sum.fields)
        yield f"{parts} of all items together at most {_limit(policy.sum.limit, limits, 'bytes')}"


def own_reasons(method: Method, comments: Comments) -> list[str]:
    """List the reasons that a method may be refused with beside those of every call: named by it, or by its policy."""
    policy = method.contract.policy
    found = {reason for text in _texts(method, comments) for reason in _named(text)}
    if policy.audience == _SU:
        found.add("SUPERUSER_REQUIRED")
    if policy.HasField("room") and policy.room.membership in _MEMBERSHIP:
        found.add("ROOM_ACCESS_DENIED")
    if policy.permission or any(field_policy(field).permission for field in method.contract.request.fields):
        found.add("PERMISSION_MISSING")
    if policy.self_field:
        found |= {"SUBJECT_MISMATCH", "SUBJECT_REQUIRED"}
    if any(field_policy(field).required for field in method.contract.request.fields):
        found.add("FIELD_REQUIRED")
    return sorted(found - set(ALWAYS))


def _texts(method: Method, comments: Comments) -> Iterator[str]:
    yield comments.line(method.full_name)
    yield from (comments.line(field.full_name) for field in method.contract.request.fields)


def _named(text: str) -> Iterator[str]:
    # Of the numbers' two names the older one has a prefix. A code of gRPC that is also a reason is named for the code.
    reasons = error_reason_pb2.ErrorReason.keys()
    codes = {"DEADLINE_EXCEEDED", "INTERNAL"}
    yield from (word for word in _WORD.findall(text) if word in reasons and word not in codes)
