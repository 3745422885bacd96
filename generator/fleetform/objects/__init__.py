"""Plans → Kubernetes objects: the literal list of builders, one module per kind, in apply order."""

from __future__ import annotations

from fleetform.objects import (
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
from fleetform.objects.manifest import Manifest
from fleetform.plan.model import NamespacePlan, WorkloadPlan

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
    externalsecret.build,
    persistentvolumeclaim.build,
    prometheusrule.build,
)

__all__ = ["Manifest", "namespace_objects", "namespaces", "workload_objects"]


def workload_objects(plan: WorkloadPlan) -> list[Manifest]:
    """Return all objects of a workload, in apply order."""
    return [manifest for build in WORKLOAD for manifest in build(plan)]


def namespace_objects(plan: NamespacePlan) -> list[Manifest]:
    """Return what a namespace has once, in apply order, without the Namespace itself."""
    return [manifest for build in NAMESPACE for manifest in build(plan)]


def namespaces(plan: NamespacePlan) -> list[Manifest]:
    """Return the Namespace, which stands in a file of its own and is applied first."""
    return [*namespace.build(plan)]
