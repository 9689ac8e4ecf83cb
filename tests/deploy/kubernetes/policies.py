"""Who may reach whom by the NetworkPolicies of operations/kubernetes, as the nodes decide it."""

from collections.abc import Iterable

from tests.deploy.kubernetes.kustomize import Json
from tests.deploy.kubernetes.workloads import Workload

# What a policy may name instead of pods of ours.
ANYWHERE = "anywhere"
Allowed = set[tuple[str, str, int]]


def selects(selector: Json, labels: dict[str, str]) -> bool:
    """Say whether a selector means what has these labels."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions)
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


def inside(policies: Iterable[Json], pods: list[Workload]) -> Allowed:
    """List which pods reach each other, (caller, called, port): what both sides allow."""
    policies = list(policies)
    found = set()
    for called in pods:
        for port in called.ports.values():
            for caller in pods:
                to = any(_means(peer, called) for peer in _peers(policies, "Egress", caller, port))
                come = any(_means(peer, caller) for peer in _peers(policies, "Ingress", called, port))
                if to and come:
                    found.add((caller.name, called.name, port))
    return found


def outside(policies: Iterable[Json], pods: list[Workload], direction: str) -> Allowed:
    """List what is allowed with others than our pods, (pod, other, port): anywhere, or the name of a namespace."""
    found = set()
    for policy in policies:
        for pod in pods:
            for rule in _rules(policy, direction, pod):
                for peer in rule.get("to" if direction == "Egress" else "from", [{}]):
                    found |= {(pod.name, _other(peer), port["port"]) for port in rule["ports"] if _other(peer)}
    return found


def _rules(policy: Json, direction: str, pod: Workload) -> list[Json]:
    spec = policy["spec"]
    rules: list[Json] = spec.get(direction.lower(), [])
    assert not rules or direction in spec["policyTypes"]
    return rules if selects(spec["podSelector"], pod.labels) else []


def _peers(policies: list[Json], direction: str, pod: Workload, port: int) -> list[Json]:
    return [
        peer
        for policy in policies
        for rule in _rules(policy, direction, pod)
        if any(allowed["port"] == port for allowed in rule["ports"])
        for peer in rule.get("to" if direction == "Egress" else "from", [{}])
    ]


def _means(peer: Json, pod: Workload) -> bool:
    # Without anybody named it is everybody; others than our pods are for `outside`.
    return not peer or ("podSelector" in peer and selects(peer["podSelector"], pod.labels))


def _other(peer: Json) -> str:
    if not peer or "ipBlock" in peer:
        return ANYWHERE
    if "namespaceSelector" in peer:
        return str(peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])
    return ""
