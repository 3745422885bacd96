"""Who may talk to whom by NetworkPolicies, evaluated as the Kubernetes documentation defines them.

An end is a pod (namespace, its labels, its pod labels) or an address outside the cluster. A connection is
allowed when the sender's policies allow it to leave and the receiver's allow it to come in. A pod that no
policy of a direction selects is open in that direction; one that is selected is closed but for the union
of what its policies list. Replies are always allowed, and policies know nothing of Services.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Object = dict[str, Any]
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod as policies see it; ports by their names, for rules that name one."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace_labels: dict[str, str] = field(default_factory=dict)
    ports: dict[tuple[str, str], int] = field(default_factory=dict)
    address: str = ""


@dataclass(frozen=True)
class Address:
    """An end that is no pod: a node, a metadata server, the internet."""

    address: str


End = Pod | Address


class Policies:
    """The policies of a cluster."""

    def __init__(self, policies: Iterable[Object]) -> None:
        self.policies = list(policies)

    def allows(self, sender: End, receiver: End, port: int, protocol: str = "TCP") -> bool:
        """Tell whether a connection comes about."""
        return self._side("Egress", sender, receiver, receiver, port, protocol) and self._side(
            "Ingress", receiver, sender, receiver, port, protocol
        )

    def _side(
        self, direction: str, own: End, other: End, receiver: End, port: int, protocol: str
    ) -> bool:
        if isinstance(own, Address):
            return True
        chosen = [policy for policy in self.policies if selects(policy, own, direction)]
        return not chosen or any(
            _ports(rule.get("ports"), receiver, port, protocol)
            and _peers(rule.get(_PEERS[direction]), other, policy["metadata"]["namespace"])
            for policy in chosen
            for rule in policy["spec"].get(direction.lower()) or ()
        )


_PEERS = {"Ingress": "from", "Egress": "to"}


def directions(policy: Object) -> set[str]:
    """Return what a policy closes: ingress always unless it says otherwise, egress if it has rules for it."""
    spec = policy["spec"]
    given = spec.get("policyTypes")
    return set(given) if given else {"Ingress", *(["Egress"] if spec.get("egress") else [])}


def selects(policy: Object, pod: Pod, direction: str) -> bool:
    """Tell whether a policy is about a pod, in a direction."""
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in directions(policy)
        and matches(policy["spec"].get("podSelector") or {}, pod.labels)
    )


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Tell whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(rule, labels) for rule in selector.get("matchExpressions") or ())


def _holds(rule: Object, labels: dict[str, str]) -> bool:
    key, operator, values = rule["key"], rule["operator"], rule.get("values", ())
    return {
        "In": key in labels and labels[key] in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[operator]


def _peers(peers: list[Object] | None, end: End, home: str) -> bool:
    """Tell whether one of the peers is an end; no list, or an empty one, means everybody."""
    return not peers or any(_is_peer(peer, end, home) for peer in peers)


def _is_peer(peer: Object, end: End, home: str) -> bool:
    if "ipBlock" in peer:
        return _in_block(peer["ipBlock"], end.address)
    if isinstance(end, Address):
        return False
    spaces = peer.get("namespaceSelector")
    if spaces is None:
        if end.namespace != home:
            return False
    elif not matches(spaces, {NAME: end.namespace, **end.namespace_labels}):
        return False
    return matches(peer.get("podSelector") or {}, end.labels)


def _in_block(block: Object, address: str) -> bool:
    if not address:
        return False
    found = ip_address(address)
    inside = found in ip_network(block["cidr"])
    return inside and not any(found in ip_network(part) for part in block.get("except") or ())


def _ports(ports: list[Object] | None, receiver: End, port: int, protocol: str) -> bool:
    """Tell whether one of the ports is meant; no list, or an empty one, means all of them."""
    return not ports or any(_is_port(item, receiver, port, protocol) for item in ports)


def _is_port(item: Object, receiver: End, port: int, protocol: str) -> bool:
    if item.get("protocol", "TCP") != protocol:
        return False
    wanted = item.get("port")
    if isinstance(wanted, str):
        named = receiver.ports if isinstance(receiver, Pod) else {}
        return named.get((wanted, protocol)) == port
    return wanted is None or wanted <= port <= item.get("endPort", wanted)


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Pod]]:
    """Yield the name of each workload with one of its pods."""
    found = list(objects)
    spaces = {
        item["metadata"]["name"]: item["metadata"].get("labels", {})
        for item in found
        if item["kind"] == "Namespace"
    }
    for item in found:
        if item["kind"] in ("Deployment", "StatefulSet"):
            space, template = item["metadata"]["namespace"], item["spec"]["template"]
            ports = {
                (port["name"], port["protocol"]): port["containerPort"]
                for container in template["spec"]["containers"]
                for port in container.get("ports", ())
            }
            labels = template["metadata"]["labels"]
            yield (
                f"{space}/{item['metadata']['name']}",
                Pod(space, labels, spaces.get(space, {}), ports),
            )
