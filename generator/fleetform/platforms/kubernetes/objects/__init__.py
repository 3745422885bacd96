"""Plans → Kubernetes objects: one module per kind, called in the order of the table of kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from fleetform.platforms.kubernetes.kinds import KINDS
from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import namespace
from fleetform.platforms.kubernetes.objects.manifest import Manifest

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
    return tuple(manifest for builder in _builders("workload") for manifest in builder(plan))


def namespace_objects(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return what a namespace has once, in apply order, without the Namespace itself."""
    return tuple(manifest for builder in _builders("namespace") for manifest in builder(plan))


@cache
def _builders(owner: str) -> tuple[Callable[[Any], tuple[Manifest, ...]], ...]:
    """Return the builders of what a `workload` or a `namespace` has, in apply order."""
    modules = (getattr(kind, owner) for kind in KINDS)
    return tuple(import_module(f"{__name__}.{name}").build for name in modules if name)
