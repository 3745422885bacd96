"""The evaluator against the rules of the Kubernetes documentation, one line for each rule."""

from typing import Any

import pytest

from tests.network.evaluator import Address, End, Pod, Policies

DB = Pod("shop", {"role": "db"}, {"team": "a"}, {("sql", "TCP"): 5432}, "10.0.1.1")
WEB = Pod("shop", {"role": "web"}, {"team": "a"}, {}, "10.0.1.2")
FAR = Pod("lab", {"role": "web"}, {"team": "b"}, {}, "10.0.2.1")
NET = Address("203.0.113.7")
NODE = Address("10.9.9.9")


def policy(spec: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    return {"kind": "NetworkPolicy", "metadata": {"namespace": namespace}, "spec": spec}


EVERY: dict[str, Any] = {"podSelector": {}}
DB_ONLY: dict[str, Any] = {"podSelector": {"matchLabels": {"role": "db"}}}


def into(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return policy({**DB_ONLY, "policyTypes": ["Ingress"], "ingress": list(rules), **more})


def out(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return policy({**EVERY, "policyTypes": ["Egress"], "egress": list(rules), **more})


def peer(**body: Any) -> dict[str, Any]:
    return {"from": [body]}


TEAM_B = {"matchLabels": {"team": "b"}}
ROLE_WEB = {"matchLabels": {"role": "web"}}
CLOSED_IN = policy({**EVERY, "policyTypes": ["Ingress"]})
CLOSED_OUT = policy({**EVERY, "policyTypes": ["Egress"]})

RULES: dict[str, tuple[list[dict[str, Any]], End, End, int, str, bool]] = {
    "without a policy everything is open": ([], FAR, DB, 1, "TCP", True),
    "without a policy the world gets in": ([], NET, DB, 1, "TCP", True),
    "a policy closes only the pods that it selects": ([into()], FAR, WEB, 1, "TCP", True),
    "a policy without rules closes": ([into()], WEB, DB, 1, "TCP", False),
    "an empty selector selects all pods of the namespace": ([CLOSED_IN], FAR, WEB, 1, "TCP", False),
    "an empty selector selects no pod of another namespace": ([CLOSED_IN], DB, FAR, 1, "TCP", True),
    "a policy of ingress leaves egress open": ([CLOSED_IN], DB, NET, 1, "TCP", True),
    "a policy of egress leaves ingress open": ([CLOSED_OUT], NET, DB, 1, "TCP", True),
    "a policy of egress closes what leaves": ([CLOSED_OUT], DB, NET, 1, "TCP", False),
    "without types ingress is closed": ([policy(EVERY)], NET, DB, 1, "TCP", False),
    "without types egress stays open": ([policy(EVERY)], DB, NET, 1, "TCP", True),
    "without types rules of egress close egress": (
        [policy({**EVERY, "egress": [{"ports": [{"port": 5}]}]})], DB, NET, 6, "TCP", False,
    ),
    "one empty rule allows everything": ([into({})], NET, DB, 9, "UDP", True),
    "an empty list of peers allows everybody": ([into({"from": []})], NET, DB, 1, "TCP", True),
    "a pod selector alone means the own namespace": ([into(peer(podSelector=ROLE_WEB))], WEB, DB, 1, "TCP", True),
    "a pod selector alone means no other namespace": ([into(peer(podSelector=ROLE_WEB))], FAR, DB, 1, "TCP", False),
    "a namespace selector means all of its pods": ([into(peer(namespaceSelector=TEAM_B))], FAR, DB, 1, "TCP", True),
    "a namespace selector leaves the own namespace out": (
        [into(peer(namespaceSelector=TEAM_B))], WEB, DB, 1, "TCP", False,
    ),
    "an empty namespace selector means all namespaces": ([into(peer(namespaceSelector={}))], FAR, DB, 1, "TCP", True),
    "an empty namespace selector means no address": ([into(peer(namespaceSelector={}))], NET, DB, 1, "TCP", False),
    "both selectors in one peer must match": (
        [into(peer(namespaceSelector=TEAM_B, podSelector={"matchLabels": {"role": "x"}}))], FAR, DB, 1, "TCP", False,
    ),
    "both selectors in one peer that match": (
        [into(peer(namespaceSelector=TEAM_B, podSelector=ROLE_WEB))], FAR, DB, 1, "TCP", True,
    ),
    "two peers are alternatives": (
        [into({"from": [{"namespaceSelector": TEAM_B}, {"podSelector": ROLE_WEB}]})], WEB, DB, 1, "TCP", True,
    ),
    "a namespace is found by its name": (
        [into(peer(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "lab"}}))], FAR, DB, 1, "TCP", True,
    ),
    "an address range": ([into(peer(ipBlock={"cidr": "203.0.113.0/24"}))], NET, DB, 1, "TCP", True),
    "an address beside the range": ([into(peer(ipBlock={"cidr": "198.51.100.0/24"}))], NET, DB, 1, "TCP", False),
    "an exception of a range": (
        [into(peer(ipBlock={"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}))], NET, DB, 1, "TCP", False,
    ),
    "beside the exception": (
        [into(peer(ipBlock={"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}))], NET, DB, 1, "TCP", True,
    ),
    "a range means pods by their address too": ([into(peer(ipBlock={"cidr": "10.0.2.0/24"}))], FAR, DB, 1, "TCP", True),
    "another family is not in a range": (
        [out({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], DB, Address("2001:db8::1"), 1, "TCP", False,
    ),
    "a port": ([into({"ports": [{"port": 5432}]})], NET, DB, 5432, "TCP", True),
    "another port": ([into({"ports": [{"port": 5432}]})], NET, DB, 5433, "TCP", False),
    "a port is TCP unless it says otherwise": ([into({"ports": [{"port": 53}]})], NET, DB, 53, "UDP", False),
    "a protocol": ([into({"ports": [{"port": 53, "protocol": "UDP"}]})], NET, DB, 53, "UDP", True),
    "a protocol without a port": ([into({"ports": [{"protocol": "UDP"}]})], NET, DB, 7, "UDP", True),
    "an empty list of ports allows all": ([into({"ports": []})], NET, DB, 7, "UDP", True),
    "a port by its name": ([into({"ports": [{"port": "sql"}]})], NET, DB, 5432, "TCP", True),
    "a name that the pod does not have": ([into({"ports": [{"port": "web"}]})], NET, DB, 5432, "TCP", False),
    "a range of ports": ([into({"ports": [{"port": 5000, "endPort": 6000}]})], NET, DB, 6000, "TCP", True),
    "beyond the range of ports": ([into({"ports": [{"port": 5000, "endPort": 6000}]})], NET, DB, 6001, "TCP", False),
    "peers and ports of a rule must both match": (
        [into({**peer(podSelector=ROLE_WEB), "ports": [{"port": 5}]})], WEB, DB, 6, "TCP", False,
    ),
    "rules add up": (
        [into(peer(podSelector=ROLE_WEB), {"ports": [{"port": 5}]})], NET, DB, 5, "TCP", True,
    ),
    "policies add up": ([into(), into({})], NET, DB, 1, "TCP", True),
    "both sides must allow: the sender does not": ([into({}), CLOSED_OUT], WEB, DB, 1, "TCP", False),
    "both sides must allow: the receiver does not": ([into(), out({})], WEB, DB, 1, "TCP", False),
    "both sides allow": ([into({}), out({})], WEB, DB, 1, "TCP", True),
    "a port that leaves by name is the receiver's": (
        [out({"ports": [{"port": "sql"}]})], WEB, DB, 5432, "TCP", True,
    ),
    "an expression: in": (
        [into(peer(podSelector={"matchExpressions": [{"key": "role", "operator": "In", "values": ["web"]}]}))],
        WEB, DB, 1, "TCP", True,
    ),
    "an expression: not in, which a pod without the label meets": (
        [into(peer(podSelector={"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}))],
        WEB, DB, 1, "TCP", True,
    ),
    "an expression: exists": (
        [into(peer(podSelector={"matchExpressions": [{"key": "x", "operator": "Exists"}]}))], WEB, DB, 1, "TCP", False,
    ),
    "an expression: does not exist": (
        [into(peer(podSelector={"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}))],
        WEB, DB, 1, "TCP", True,
    ),
    "an address is bound by no policy": ([CLOSED_OUT], NODE, FAR, 1, "TCP", True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("policies", "sender", "receiver", "port", "protocol", "expected"), RULES.values(), ids=RULES
)
def test_a_rule_of_the_documentation(policies, sender, receiver, port, protocol, expected):
    assert Policies(policies).allows(sender, receiver, port, protocol) is expected
