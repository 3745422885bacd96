"""Replicas and autoscaling: bounds, windows, and what KEDA's own schema does not cover."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.platforms.kubernetes import scheduling
from fleetform.platforms.kubernetes.rules import passed, waking
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.switches import keda_is_on
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.scaling import Metric, MetricTarget, Scaling
    from fleetform.models.workload import Workload

_SELECTOR = ("HorizontalPodAutoscaler", "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector")
MAX_WINDOW = 3600
"""Longest stabilisation window in seconds: KEDA takes a longer one and then makes no HPA."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what is wrong with the scaling of agents and MCP servers."""
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            yield from _bounds(fleet, resolved, resolved.spec.scaling)
            yield from _windows(resolved, resolved.spec.scaling)
            yield from _metrics(resolved)


def _bounds(fleet: Fleet, resolved: Resolved[Workload], scaling: Scaling) -> Iterator[Problem]:
    low, high = scaling.min_replicas, scaling.max_replicas
    path: TreePath = ("spec", "scaling", "minReplicas")
    if low is not None and high is not None and low > high:
        yield resolved.problem(
            path,
            "min-above-max",
            f"minReplicas {low} is greater than maxReplicas {high}",
            hint="lower one or raise the other",
        )
    keda = scaling.keda if keda_is_on(scaling) else None
    if low == 0 and keda is None:
        yield resolved.problem(
            path,
            "cannot-wake",
            "nothing scales it up from zero replicas",
            hint="set minReplicas to 1, or enable `keda` with a trigger that detects work while no pod is running",
        )
    elif low == 0 and keda is not None:
        blind = [waking.blind(fleet, resolved, trigger) for trigger in keda.triggers]
        if all(blind):
            words = " and ".join(dict.fromkeys(blind)) or "cpu and memory"
            yield resolved.problem(
                path,
                "cannot-wake",
                f"nothing scales it up from zero replicas: its triggers ({words}) measure the workload itself, and no pod runs",
                hint="add a trigger on what waits elsewhere (a queue, the gateway's requests) or cron, or set minReplicas to 1",
            )
    if resolved.spec.stateful and keda is not None and low == 0:
        yield resolved.problem(
            path,
            "stateful-zero",
            "a StatefulSet scaled to zero loses its peers' names",
            hint="set minReplicas to 1",
            severity="warning",
        )


def _windows(resolved: Resolved[Workload], scaling: Scaling) -> Iterator[Problem]:
    if scaling.behavior is None:
        return
    for name, direction in (
        ("scaleUp", scaling.behavior.scale_up),
        ("scaleDown", scaling.behavior.scale_down),
    ):
        window = direction.stabilization_window_seconds if direction else None
        if window is not None and window > MAX_WINDOW:
            yield resolved.problem(
                ("spec", "scaling", "behavior", name, "stabilizationWindowSeconds"),
                "window-too-long",
                f"{window} seconds are more than Kubernetes allows",
                hint=f"at most {MAX_WINDOW}: KEDA would accept a longer one and then never scale",
            )


TARGETS = {
    "Resource": ("Utilization", "AverageValue"),
    "Pods": ("AverageValue",),
    "Object": ("Value", "AverageValue"),
    "External": ("Value", "AverageValue"),
}
"""Types of target by type of metric."""
TARGET_FIELDS = {
    "Utilization": ("averageUtilization", "average_utilization"),
    "AverageValue": ("averageValue", "average_value"),
    "Value": ("value", "value"),
}


def _metrics(resolved: Resolved[Workload]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, metric in enumerate(resolved.spec.scaling.metrics or []):
        path: TreePath = ("spec", "scaling", "metrics", number)
        field = metric.type.lower()
        own = getattr(metric, field)
        if own is None:
            yield resolved.problem(
                path,
                "missing-field",
                f"`{field}` is missing",
                hint=f"add `{field}:`, which this type requires",
                key=True,
            )
            continue
        yield from _of_other_types(resolved, path, metric)
        yield from _target(resolved, (*path, field, "target"), metric.type, own.target)
        if metric.type != "Resource" and own.metric.selector is not None:
            yield from _selector(
                resolved, (*path, field, "metric", "selector"), own.metric.selector
            )
        if metric.type == "Resource":
            if own.name in seen:
                yield resolved.problem(
                    (*path, "resource", "name"),
                    "duplicate-name",
                    f"two metrics measure {own.name}",
                    hint="remove one",
                )
            seen.add(own.name)


def _selector(resolved: Resolved[Workload], path: TreePath, given: Any) -> Iterator[Problem]:
    said = [*passed.unlike(resolved, path, _SELECTOR, given)]
    yield from (problem for _, problem in said)
    for fault in () if any(broken for broken, _ in said) else scheduling.selector(path, given):
        yield resolved.problem(fault.path, "bad-scheduling", fault.message, hint=fault.hint)


def _of_other_types(
    resolved: Resolved[Workload], path: TreePath, metric: Metric
) -> Iterator[Problem]:
    for kind in TARGETS:
        field = kind.lower()
        if kind != metric.type and getattr(metric, field) is not None:
            yield resolved.problem(
                (*path, field),
                "contradiction",
                f"`{field}` is set, but the type is {metric.type}",
                hint="remove one of them",
                key=True,
            )


def _target(
    resolved: Resolved[Workload], path: TreePath, kind: str, target: MetricTarget
) -> Iterator[Problem]:
    if target.type not in TARGETS[kind]:
        allowed = " or ".join(TARGETS[kind])
        yield resolved.problem(
            (*path, "type"),
            "bad-target",
            f"a {kind} metric does not support a target of type {target.type}",
            hint=f"use {allowed}",
        )
        return
    for name, (alias, attribute) in TARGET_FIELDS.items():
        value = getattr(target, attribute)
        if name == target.type and value is None:
            yield resolved.problem(
                path,
                "missing-field",
                f"`{alias}` is missing",
                hint=f"add `{alias}:`, which the target's type requires",
                key=True,
            )
        elif name != target.type and value is not None:
            yield resolved.problem(
                (*path, alias),
                "contradiction",
                f"`{alias}` is set, but the target's type is {target.type}",
                hint="remove one of them",
                key=True,
            )
        elif isinstance(value, str) and not parse(value):
            yield resolved.problem(
                (*path, alias),
                "bad-target",
                "a target of zero cannot be reached",
                hint="use a value greater than 0",
            )
