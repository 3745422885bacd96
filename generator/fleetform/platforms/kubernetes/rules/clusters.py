"""What specs ask of a kind of cluster that it does otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.plan.scaling import scale
from fleetform.platforms.kubernetes.clusters import CLUSTERS
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import workloads
from fleetform.tree import TreePath

MANY_NODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield users where the cluster assigns them, and volumes for many nodes of a class for one."""
    platform = fleet.environment.platform
    cluster = CLUSTERS[platform]
    if not (cluster.assigns_ids or cluster.one_node_classes):
        return
    for resolved, spec, root in workloads(fleet):
        if cluster.assigns_ids and spec.pod_template.run_as_user is not None:
            yield resolved.problem(
                (*root, "podTemplate", "runAsUser"),
                "assigned-user",
                f"on {platform} the cluster assigns users to each namespace, and may refuse {spec.pod_template.run_as_user}",
                hint="set null in this environment, or use a number of the namespace's range",
                severity="warning",
            )
        yield from _disks(resolved, spec, root, platform)


def _disks(resolved: Resolved[Any], spec: Any, root: TreePath, platform: str) -> Iterator[Problem]:
    if getattr(spec, "stateful", False):
        return
    scaling = getattr(spec, "scaling", None)
    many = scaling is not None and scale(scaling).most > 1
    for number, volume in enumerate(spec.volumes):
        claim = volume.claim
        if claim is None or (claim.storage_class or "") not in CLUSTERS[platform].one_node_classes:
            continue
        which = f"class `{claim.storage_class}`" if claim.storage_class else "default storage class"
        if claim.access_mode in MANY_NODES or (claim.access_mode is None and many):
            yield resolved.problem(
                (*root, "volumes", number, "claim"),
                "class-for-one-node",
                f"several pods mount `{volume.name}`, and the {which} of {platform} makes disks for one node at a time: the claim would stay pending",
                hint="set `storageClass` to a class of a shared file system",
                severity="warning",
                key=True,
            )
