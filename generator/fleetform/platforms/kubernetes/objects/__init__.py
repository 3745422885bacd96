"""Plans → Kubernetes objects: the literal list of builders, one module per kind, in apply order."""

from __future__ import annotations

from typing import NamedTuple

from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import (
    certificate,
    configmap,
    deployment,
    externalsecret,
    horizontalpodautoscaler,
    httproute,
    ingress,
    limitrange,
    namespace,
    networkpolicy,
    persistentvolumeclaim,
    poddisruptionbudget,
    prometheusrule,
    resourcequota,
    role,
    scaledobject,
    service,
    serviceaccount,
    servicemonitor,
    statefulset,
)
from fleetform.platforms.kubernetes.objects.manifest import Manifest

WORKLOAD = (
    serviceaccount.build,
    role.build,
    configmap.build,
    service.build,
    deployment.build,
    statefulset.build,
    horizontalpodautoscaler.build,
    scaledobject.build,
    poddisruptionbudget.build,
    networkpolicy.build,
    httproute.build,
    ingress.build,
    certificate.build,
    servicemonitor.build,
)
NAMESPACE = (
    resourcequota.build,
    limitrange.build,
    networkpolicy.build_default,
    externalsecret.build,
    persistentvolumeclaim.build,
    prometheusrule.build,
)

__all__ = ["Manifest", "Unit", "build"]


class Unit(NamedTuple):
    """What belongs together: a workload, what a namespace has once, or the namespaces themselves.

    Without a workload it is the namespace's own; without a namespace it holds the Namespaces.
    """

    namespace: str
    workload: str
    source: str
    objects: tuple[Manifest, ...]


def build(plan: FleetPlan) -> tuple[Unit, ...]:
    """Return all objects of an environment, in apply order within each unit; no unit is empty."""
    source = f"environment {plan.environment}"
    created = [item for space in plan.namespaces for item in namespace.build(space)]
    units = [Unit("", "", source, tuple(created))]
    for space in plan.namespaces:
        units.append(Unit(space.name, "", source, namespace_objects(space)))
    for workload in plan.workloads:
        objects = workload_objects(workload)
        units.append(Unit(workload.namespace, workload.name, workload.source, objects))
    return tuple(unit for unit in units if unit.objects)


def workload_objects(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return all objects of a workload, in apply order."""
    return tuple(manifest for builder in WORKLOAD for manifest in builder(plan))


def namespace_objects(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return what a namespace has once, in apply order, without the Namespace itself."""
    return tuple(manifest for builder in NAMESPACE for manifest in builder(plan))
