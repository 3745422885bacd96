"""The example fleet and the world around it as ends of connections, and what is open between them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conformance.rendered import ENVIRONMENTS
from tests.manifests import Object, tree
from tests.network.evaluator import Address, End, Pod, Policies, pods

HERE = Path(__file__).parent
METADATA = (
    "169.254.169.254",  # most clouds
    "169.254.170.2",  # ECS tasks
    "169.254.170.23",  # EKS Pod Identity
    "169.254.169.252",  # GKE metadata server
    "169.254.169.253",  # Amazon's resolver and clock
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure's host
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",
)
PRIVATE = ("10.0.0.1", "10.96.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "fd00::1")
API_SERVER = {"dev": "10.10.0.10", "staging": "172.16.0.34", "prod": "10.40.32.7"}
"""An address of the Kubernetes API in each environment."""
INTERNET = Address("93.184.216.34")
PORTS = (22, 53, 80, 443, 988, 2379, 3000, 3306, 4001, 4317, 4318, 5432, 6379, 6443, 8000, 8080, 8090, 8443, 9090, 9091, 10250)  # fmt: skip


def objects(environment: str) -> tuple[Object, ...]:
    return tree(f"rendered/{environment}").objects


def policies(environment: str) -> Policies:
    return Policies(item for item in objects(environment) if item["kind"] == "NetworkPolicy")


def workloads(environment: str) -> dict[str, Pod]:
    return dict(pods(objects(environment)))


def ports(environment: str) -> tuple[int, ...]:
    """Return the ports to try: the usual ones, those of the fleet, and those of its rules with their neighbours."""
    found = {*PORTS}
    for pod in workloads(environment).values():
        found |= {*pod.ports.values()}
    for item in objects(environment):
        if item["kind"] == "NetworkPolicy":
            for side in ("ingress", "egress"):
                for rule in item["spec"].get(side, ()):
                    for port in rule.get("ports", ()):
                        found |= {port["port"] - 1, port["port"], port["port"] + 1}
    return tuple(sorted(found))


def world(environment: str) -> dict[str, End]:
    """Return the ends around the fleet: what rules name, and what must stay out of reach."""
    ends: dict[str, End] = {
        "internet": INTERNET,
        "kubernetes API": Address(API_SERVER[environment]),
        "other-tenant/pod": Pod(
            "other-tenant", {"app.kubernetes.io/name": "customer-support-agent"}
        ),
        "kube-system/kube-dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
        "kube-system/other": Pod("kube-system", {"k8s-app": "other"}),
        "default/pod": Pod("default"),
    }
    own = {pod.namespace for pod in workloads(environment).values()}
    for space in sorted(own):
        ends[f"{space}/stranger"] = Pod(space, {"app": "stranger"})
    for space in sorted(_named(environment) - own - {"kube-system", "default"}):
        ends[f"{space}/pod"] = Pod(space, {"app": "x"})
    ends |= {f"metadata {address}": Address(address) for address in METADATA}
    ends |= {f"private {address}": Address(address) for address in PRIVATE}
    return ends


def _named(environment: str) -> set[str]:
    """Return the namespaces that some rule names."""
    found = set()
    for item in objects(environment):
        if item["kind"] == "NetworkPolicy":
            for side, peers in (("ingress", "from"), ("egress", "to")):
                for rule in item["spec"].get(side, ()):
                    for peer in rule.get(peers, ()):
                        labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
                        found |= {*labels.values()}
    return found


@cache
def links(environment: str) -> tuple[tuple[str, str, str], ...]:
    """Return sender, receiver and `TCP/8080` of everything that is open from or to the fleet."""
    return tuple(_links(environment))


def _links(environment: str) -> Iterator[tuple[str, str, str]]:
    rules, inside = policies(environment), workloads(environment)
    ends: dict[str, End] = {**inside, **world(environment)}
    numbers = ports(environment)
    for sender, one in ends.items():
        for receiver, other in ends.items():
            if sender == receiver or not {sender, receiver} & inside.keys():
                continue
            for port in numbers:
                for protocol in ("TCP", "UDP"):
                    if rules.allows(one, other, port, protocol):
                        yield sender, receiver, f"{protocol}/{port}"


def table(environment: str) -> str:
    """Return the matrix as text: a line for each pair between which something is open."""
    found: dict[tuple[str, str], list[str]] = {}
    for sender, receiver, port in links(environment):
        found.setdefault((sender, receiver), []).append(port)
    lines = [f"{one} -> {other}: {' '.join(ports)}\n" for (one, other), ports in found.items()]
    return "".join(sorted(lines))


def rewrite() -> None:
    """Write the matrix of each environment as it is today."""
    for environment in ENVIRONMENTS:
        (HERE / f"{environment}.txt").write_text(table(environment), "utf-8")
