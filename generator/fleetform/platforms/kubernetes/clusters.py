"""Kinds of clusters: what each does its own way. An environment's own fields win over all of it."""

from __future__ import annotations

from collections.abc import Mapping

from fleetform.records import NamedTuple


class Cluster(NamedTuple):
    """Facts about a kind of cluster."""

    dns_namespace: str = "kube-system"
    dns_labels: Mapping[str, str] = {"k8s-app": "kube-dns"}
    """Labels of the pods that resolve names."""
    dns_port: int = 53
    """Port that those pods listen on; policies see it, not the Service's."""
    route_timeouts: bool = True
    """Whether its Gateway controller accepts `timeouts.request` in an HTTPRoute."""
    assigns_ids: bool = False
    """Whether it gives each namespace its own range of users, and refuses pods that ask for another one."""
    one_node_classes: frozenset[str] = frozenset()
    """StorageClasses of its own whose volumes one node mounts at a time; `""` is the default one."""


CLUSTERS = {
    "generic": Cluster(),
    "eks": Cluster(one_node_classes=frozenset({"", "gp2", "gp3"})),
    # https://cloud.google.com/kubernetes-engine/docs/how-to/gatewayclass-capabilities: a route with `timeouts`
    # is not accepted; a GCPBackendPolicy has the timeout there.
    "gke": Cluster(
        route_timeouts=False,
        one_node_classes=frozenset({"", "standard", "standard-rwo", "premium-rwo"}),
    ),
    # The pods of openshift-dns listen on 5353; the security context constraint `restricted-v2` assigns users.
    "openshift": Cluster(
        dns_namespace="openshift-dns",
        dns_labels={"dns.operator.openshift.io/daemonset-dns": "default"},
        dns_port=5353,
        assigns_ids=True,
    ),
}
"""By the `platform` of an environment."""
