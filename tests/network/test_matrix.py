"""Who can talk to whom in the whole example fleet: what the specs declare, and nothing else.

`make golden` rewrites tests/network/<environment>.txt; read what changes.
"""

import pytest

from tests.conformance.rendered import ENVIRONMENTS
from tests.network.evaluator import Pod
from tests.network.matrix import HERE, METADATA, links, table, workloads, world

each_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)

DECLARED = {
    # agents/k8sops: its MCP server; agents/praxis: peers, and the server of files.
    ("k8sops", "mcp-k8s"): {"TCP/8080"},
    ("praxis-agent-1", "praxis-agent-2"): {"TCP/4001", "TCP/8000", "TCP/8090"},
    ("praxis-agent-2", "praxis-agent-1"): {"TCP/4001", "TCP/8000", "TCP/8090"},
    ("praxis-agent-1", "mcp-filesystem"): {"TCP/8080"},
    ("praxis-agent-2", "mcp-filesystem"): {"TCP/8080"},
}
"""What the specs say about each other, read by a person."""
STORES = {
    **{(name, "agent-memory-redis"): {"TCP/6379"} for name in ("customer-support-agent", "research-agent", "analysis-agent", "writer-agent", "reviewer-agent")},
    ("k8sops", "k8sops-redis"): {"TCP/6379"},
}  # fmt: skip
"""Stores are workloads where the environment provides them, which development does."""
MAY = {
    "prod": {("k8sops/k8sops", "metadata 169.254.170.23"): {"TCP/80"}},
    "staging": {
        ("k8sops/k8sops", "metadata 169.254.169.252"): {"TCP/988"},
        ("k8sops/k8sops", "metadata 169.254.169.254"): {"TCP/80"},
    },
    "dev": {},
}
"""Metadata addresses that an identity of the environment's platform needs."""


def found(environment: str) -> dict[tuple[str, str], set[str]]:
    made: dict[tuple[str, str], set[str]] = {}
    for sender, receiver, port in links(environment):
        made.setdefault((sender, receiver), set()).add(port)
    return made


@each_environment
def test_the_matrix_is_what_was_read_and_agreed(environment):
    assert table(environment) == (HERE / f"{environment}.txt").read_text("utf-8")


@each_environment
def test_workloads_reach_each_other_exactly_where_their_specs_say_so(environment):
    inside = workloads(environment)
    made = {
        (sender.rpartition("/")[2], receiver.rpartition("/")[2]): ports
        for (sender, receiver), ports in found(environment).items()
        if {sender, receiver} <= inside.keys()
    }
    assert made == (DECLARED | STORES if environment == "dev" else DECLARED)


@each_environment
def test_no_metadata_address_is_reachable_but_for_an_identity(environment):
    made = {
        pair: ports
        for pair, ports in found(environment).items()
        if pair[1] in {f"metadata {address}" for address in METADATA}
    }
    assert made == MAY[environment]


@each_environment
def test_other_tenants_neither_reach_the_fleet_nor_are_reached(environment):
    strangers = {
        name
        for name in world(environment)
        if name.endswith("/stranger") or name.startswith("other-")
    }
    assert len(strangers) > 3
    assert [pair for pair in found(environment) if strangers & {*pair}] == []


@each_environment
def test_nobody_from_outside_gets_in_but_gateway_and_prometheus(environment):
    inside = workloads(environment)
    callers = {pair[0] for pair in found(environment) if pair[0] not in inside}
    assert callers <= {"gateway-system/pod", "observability/pod", "traefik/pod"}


@each_environment
def test_nobody_reaches_a_private_address_but_the_one_who_talks_to_the_kubernetes_api(environment):
    made = {
        pair[0].rpartition("/")[2]: ports
        for pair, ports in found(environment).items()
        if pair[1] == "kubernetes API"
    }
    ways = {"TCP/443", "TCP/6443"}
    # In staging an agent asks for pods for its programs.
    asking = {"analysis-agent": ways} if environment == "staging" else {}
    assert made == {"mcp-k8s": ways, **asking}
    assert [pair for pair in found(environment) if pair[1].startswith("private ")] == []


@each_environment
def test_namespaces_of_the_fleet_are_closed_to_each_other(environment):
    ends = workloads(environment)
    for sender, receiver in found(environment):
        one, other = ends.get(sender), ends.get(receiver)
        if isinstance(one, Pod) and isinstance(other, Pod):
            assert one.namespace == other.namespace
