"""A plan → the input of Kubernetes targets: patched and validated objects, and the base of overlays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from fleetform.platforms.kubernetes import objects
from fleetform.platforms.kubernetes.bind import bind, quotas
from fleetform.platforms.kubernetes.model import FleetPlan
from fleetform.platforms.kubernetes.objects import Unit, counted, pod_security
from fleetform.platforms.kubernetes.objects.changes import Applied
from fleetform.problems import Problem, errors
from fleetform.records import NamedTuple

if TYPE_CHECKING:
    from fleetform.plan.model import Plan
    from fleetform.resolve import Fleet


class Base(NamedTuple):
    """What an environment's abstract root renders, and which of its namespaces matches each of the environment's."""

    units: tuple[Unit, ...]
    namespaces: Mapping[str, str]


class Build(NamedTuple):
    """One environment, planned and built; `base` plans that of its overlays, and is to be asked for once."""

    plan: FleetPlan
    units: Iterable[Unit]
    base: Callable[[], Base | None] = lambda: None
    applied: tuple[Applied, ...] = ()
    """What object patches changed in the units, in order."""


def build(
    fleet: Fleet, plan: Plan, root: Fleet | None, *, sound: Callable[[], bool]
) -> tuple[Build | None, list[Problem]]:
    """Return the input of Kubernetes targets, None if there are errors, and all problems.

    `root` is the fleet in the abstract environment that this one extends; it is modified in the
    process. A plan that is not `sound` is not built, and is only bound to find further problems.
    """
    bound, problems = bind(fleet, plan)
    if errors(problems) or not sound():
        return None, problems
    problems += pod_security.unpatched(bound)
    if any(tenant.hard for tenant in fleet.environment.tenants.values()):
        problems += quotas.counted(fleet, counted.counts(objects.Units(bound)))
    if fleet.targets == ("manifests",) and not _is_patched(bound):
        return Build(bound, objects.Units(bound)), problems  # one pass: none is needed twice
    from fleetform.platforms.kubernetes.objects import patches, provided  # noqa: PLC0415 - most runs have none

    done = patches.apply(bound, objects.build(bound))
    problems += [*done.problems, *provided.missing(bound, done.units, done.applied)]
    return Build(bound, done.units, partial(_base, fleet, root), done.applied), problems


def _is_patched(plan: FleetPlan) -> bool:
    return bool(plan.patches) or any(workload.patches for workload in plan.workloads)


def _base(fleet: Fleet, root: Fleet | None) -> Base | None:
    if root is None:
        return None
    from fleetform.platforms.kubernetes.bind.outline import outline  # noqa: PLC0415
    from fleetform.platforms.kubernetes.objects import patches  # noqa: PLC0415

    spaces = {fleet.target_namespace(s): root.target_namespace(s) for s in fleet.spaces}
    plan = outline(root)
    return Base(patches.apply(plan, objects.build(plan)).units, spaces)
