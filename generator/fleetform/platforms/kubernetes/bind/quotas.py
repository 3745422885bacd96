"""Quotas and limits of namespaces that their own workloads cannot pass: pods would never be created."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet
from fleetform.tree import TreePath, problem_at

if TYPE_CHECKING:
    from fractions import Fraction


COUNTED = {
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
    "requests.ephemeral-storage": ("requests", "ephemeral-storage"),
    "limits.ephemeral-storage": ("limits", "ephemeral-storage"),
    "ephemeral-storage": ("requests", "ephemeral-storage"),
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
}
"""By name in a quota: the resources of containers that count against it."""


def warm(plan: WorkloadPlan) -> int:
    """Return how many pods of a workload wait for a program."""
    return plan.sandbox.warm if plan.sandbox is not None else 0


OBJECTS: Mapping[str, Callable[[WorkloadPlan], int]] = {
    "pods": lambda plan: plan.least + warm(plan),
    "count/pods": lambda plan: plan.least + warm(plan),
    "count/sandboxes.agents.x-k8s.io": warm,
}
"""By name in a quota: how many of the objects that it counts a workload has at least, of those that are not rendered."""


def problems(
    fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]], workloads: Iterable[WorkloadPlan]
) -> Iterator[Problem]:
    """Yield limits that a container exceeds, and quotas that are too small for the fewest replicas."""
    members: dict[str, list[WorkloadPlan]] = {}
    for plan in workloads:
        members.setdefault(plan.namespace, []).append(plan)
    for space, namespace in spaces:
        own = members.get(namespace.name, [])
        yield from _maximum(fleet, space, namespace.limits.get("max", {}), own)
        yield from _quota(fleet, space, namespace, own)


def _maximum(
    fleet: Fleet, space: str, maximum: Mapping[str, str], own: list[WorkloadPlan]
) -> Iterator[Problem]:
    for resource, most in maximum.items():
        above = {
            plan.name: given
            for plan in own
            for container in _containers(plan)
            if (given := _amount(container, "limits", resource)) > parse(most)
        }
        if above:
            yield _said(
                fleet,
                ("spec", "tenants", space, "max", resource),
                f"no pod of {_names(above)} is created: a container's {resource} limit is above {most}",
            )


def _quota(
    fleet: Fleet, space: str, namespace: NamespacePlan, own: list[WorkloadPlan]
) -> Iterator[Problem]:
    for name, hard in namespace.quota.items():
        need = _need(name, namespace, own)
        if need > parse(hard):
            yield _said(
                fleet,
                ("spec", "tenants", space, "hard", name),
                f"the workloads of `{space}` need {_text(need)} at their fewest replicas, and the quota allows {hard}",
            )


def counted(fleet: Fleet, counts: Mapping[str, Mapping[str, int]]) -> Iterator[Problem]:
    """Yield quotas that allow fewer objects than are rendered, by namespace in the cluster and name of a quota."""
    for space, tenant in fleet.environment.tenants.items():
        own = counts.get(fleet.target_namespace(space), {})
        for name, hard in tenant.hard.items():
            need = own.get(name, 0)
            if need > parse(hard):
                yield problem_at(
                    fleet.environment_tree,
                    ("spec", "tenants", space, "hard", name),
                    "quota-too-small",
                    f"a release of `{space}` needs {need}, and the quota allows {hard}",
                    hint=_ROOM.get(name.removeprefix("count/"), "raise it"),
                    severity="warning",
                )


_ROOM = {
    "configmaps": "raise it, and leave room: older configurations stay until `fleetform gc` removes them",
    "secrets": "raise it, and leave room for Secrets that others make, such as Helm's releases",
    "replicasets.apps": "raise it, and leave room: a Deployment keeps older ones",
}
"""What to do, by what is counted, where rendered objects are not all."""


def _need(name: str, namespace: NamespacePlan, own: list[WorkloadPlan]) -> Fraction:
    """Return what the fewest replicas of a namespace's workloads use of a quota; 0 if that is not known here."""
    counted = COUNTED.get(name) or _device(name)
    if counted:
        return sum(
            (
                plan.least * pod(plan, *counted) + warm(plan) * waiting(plan, *counted)
                for plan in own
            ),
            parse("0"),
        )
    if name in OBJECTS:
        return parse(str(sum(OBJECTS[name](plan) for plan in own)))
    claims = [
        *namespace.claims,
        *(claim for plan in own for _ in range(plan.least) for claim in plan.claim_templates),
    ]
    if name in ("persistentvolumeclaims", "count/persistentvolumeclaims"):
        return parse(str(len(claims)))
    if name == "requests.storage":
        return sum((parse(claim.size) for claim in claims), parse("0"))
    return parse("0")


def _device(name: str) -> tuple[str, str] | None:
    """Return what a quota of a device or of huge pages counts, None for any other."""
    resource = name.removeprefix("requests.")
    is_device = name != resource and "/" in resource
    return ("requests", resource) if is_device or resource.startswith("hugepages-") else None


def pod(plan: WorkloadPlan, kind: str, resource: str) -> Fraction:
    """Return what a pod counts: the sum of what runs, or while it starts, if that is more."""
    started, most = parse("0"), parse("0")
    for item in plan.init_containers:
        amount = _amount(item, kind, resource)
        most = max(most, started + amount)
        if item.get("restartPolicy") == "Always":
            started += amount
    running = sum((_amount(item, kind, resource) for item in _running(plan)), started)
    return max(running, most)


def waiting(plan: WorkloadPlan, kind: str, resource: str) -> Fraction:
    """Return what a pod counts that waits for a program, or runs one."""
    return sum((_amount(item, kind, resource) for item in _sandboxes(plan)), parse("0"))


def _sandboxes(plan: WorkloadPlan) -> list[Mapping[str, Any]]:
    return [{"resources": plan.sandbox.resources}] if plan.sandbox is not None else []


def _running(plan: WorkloadPlan) -> list[Mapping[str, Any]]:
    return [{"resources": plan.resources}, *plan.sidecars]


def _containers(plan: WorkloadPlan) -> list[Mapping[str, Any]]:
    return [*_running(plan), *plan.init_containers, *_sandboxes(plan)]


def _amount(container: Mapping[str, Any], kind: str, resource: str) -> Fraction:
    given = container.get("resources", {}).get(kind, {}).get(resource)
    return parse("0") if given is None else parse(str(given))


def _text(amount: Fraction) -> str:
    for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
        if amount >= size and (amount / size).denominator <= 4:
            return f"{float(amount / size):g}{unit}"
    return f"{float(amount):g}"


def _names(above: Iterable[str]) -> str:
    names = sorted(above)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def _said(fleet: Fleet, path: TreePath, message: str) -> Problem:
    return problem_at(
        fleet.environment_tree,
        path,
        "quota-too-small",
        message,
        hint="raise it, or lower `resources` or `scaling.minReplicas` of the workloads",
        severity="warning",
    )
