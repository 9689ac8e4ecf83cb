"""The gRPC service config of the public contract: how long a client waits, and which calls it may repeat by itself.

What decides are the options `deadline_ms` and `repeatable` of each method; nothing is repeated that the contract does
not declare repeatable. `protos/chatkit.service_config.json` is the rendering that clients load.
"""

import json
from typing import Any

from services.edge import public
from services.runtime.contract.policies import MethodContract

Json = dict[str, Any]

_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# A client most of whose calls fail stops repeating them, so that a suite in trouble does not get four times the load.
_RETRY_THROTTLING = {"maxTokens": 100, "tokenRatio": 0.1}


def service_config() -> Json:
    """Render the service config: methods with the same rules stand together, everything sorted."""
    groups: dict[str, tuple[Json, list[Json]]] = {}
    for _, method in sorted(public.methods(), key=lambda pair: pair[1].path):
        rules = _rules(method)
        service, _, name = method.path[1:].partition("/")
        _, names = groups.setdefault(json.dumps(rules, sort_keys=True), (rules, []))
        names.append({"service": service, "method": name})
    configs = [{"name": names, **rules} for _, (rules, names) in sorted(groups.items())]
    return {"methodConfig": configs, "retryThrottling": _RETRY_THROTTLING}


def to_json(config: Json) -> str:
    """Return a service config as it is checked in."""
    return json.dumps(config, indent=2) + "\n"


def _rules(method: MethodContract) -> Json:
    # A stream has no deadline and is never repeated as a whole: its client resumes it from a position.
    if method.streams:
        return {}
    timeout = {"timeout": f"{method.policy.deadline_ms / 1000:g}s"}
    return {**timeout, "retryPolicy": _RETRY_POLICY} if method.policy.repeatable else timeout
