"""Plans → Kubernetes objects: one module per kind, called in the order of the table of kinds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

from fleetform.platforms.kubernetes.kinds import KINDS
from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import namespace
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.records import NamedTuple

__all__ = ["Manifest", "Unit", "Units", "build", "modules"]


class Unit(NamedTuple):
    """Objects that belong together: a workload's, the shared ones of a namespace, or the Namespaces.

    Without a workload it contains the namespace's shared objects; without a namespace, the
    Namespaces.
    """

    namespace: str
    workload: str
    source: str
    objects: tuple[Manifest, ...]


class Units:
    """All units of a plan, built anew whenever they are asked for: nobody has to hold them all at once."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan

    def __iter__(self) -> Iterator[Unit]:
        """Yield units, objects in apply order within each; no unit is empty."""
        return (unit for unit in _units(self._plan) if unit.objects)


def build(plan: FleetPlan) -> tuple[Unit, ...]:
    """Return all objects of an environment, in apply order within each unit; no unit is empty."""
    return tuple(Units(plan))


def _units(plan: FleetPlan) -> Iterator[Unit]:
    source = f"environment {plan.environment}"
    created = [item for space in plan.namespaces for item in namespace.build(space)]
    yield Unit("", "", source, tuple(created))
    for space in plan.namespaces:
        yield Unit(space.name, "", source, namespace_objects(space))
    for workload in plan.workloads:
        objects = workload_objects(workload)
        yield Unit(workload.namespace, workload.name, workload.source, objects)


def workload_objects(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return all objects of a workload, in apply order."""
    return tuple(manifest for module in modules("workload") for manifest in module.build(plan))


def namespace_objects(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the shared objects of a namespace, in apply order, without the Namespace itself."""
    return tuple(manifest for module in modules("namespace") for manifest in module.build(plan))


@cache
def modules(owner: str) -> tuple[ModuleType, ...]:
    """Return the modules for a `workload` or a `namespace`, in apply order.

    Each has `build(plan)`; `values(plan, default)` returns the same as chart values; `LENSES`, by
    kind, read values back from objects that patches have changed.
    """
    names = (getattr(kind, owner) for kind in KINDS)
    return tuple(import_module(f"{__name__}.{name}") for name in names if name)
