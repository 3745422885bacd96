"""Labels of series: names that are free, of pods that have them. Budgets of namespaces: some alert must tell of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleetform import contract, kinds, view
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.switches import is_watched
from fleetform.tree import TreePath, problem_at

OF_TARGETS = frozenset({"namespace", "pod", "service", "endpoint", "job", "instance", "container"})
"""Labels that the Prometheus operator gives every series."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what is wrong with labels of series and with budgets."""
    yield from _target_labels(fleet)
    yield from _budgets(fleet)


def _target_labels(fleet: Fleet) -> Iterator[Problem]:
    """Yield `monitoring.targetLabels` whose name a metric has for something else, or that no pod has."""
    monitoring = fleet.environment.monitoring
    if "target_labels" not in view.given(monitoring):
        return
    had = _labels(fleet)
    seen: dict[str, str] = {}
    for number, key in enumerate(monitoring.target_labels):
        path: TreePath = ("spec", "monitoring", "targetLabels", number)
        name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        if name in OF_TARGETS | contract.metric_labels():
            yield problem_at(
                fleet.environment_tree,
                path,
                "reserved-label",
                f"series have the label `{name}` already, for something else",
                hint="use another label of the pods for this",
            )
        elif name in seen:
            yield problem_at(
                fleet.environment_tree,
                path,
                "not-used",
                f"`{key}` becomes the label `{name}` of series, and so does `{seen[name]}`",
                hint="keep one of them",
            )
        elif key not in had and fleet.catalog.complete and not fleet.catalog.broken:
            yield problem_at(
                fleet.environment_tree,
                path,
                "not-used",
                f"no workload has the label `{key}`",
                hint="set it in `metadata.labels` of specs, or for a whole namespace in `tenants.NAMESPACE.labels`",
                severity="note",
            )
        seen.setdefault(name, key)


def _labels(fleet: Fleet) -> frozenset[str]:
    """Return the labels that some workload's pods have."""
    found: set[str] = set()
    for kind in kinds.WITH_OBJECTS:
        for item in fleet.of(kind):
            template = getattr(item.spec, "pod_template", None)
            found.update(fleet.labels(item.namespace), item.typed.metadata.labels)
            found.update(getattr(template, "labels", None) or ())
    return frozenset(found)


def _budgets(fleet: Fleet) -> Iterator[Problem]:
    """Yield budgets of namespaces that nothing tells of, and agents that may spend more than the whole namespace should."""
    scraped = "prometheus-operator" in fleet.environment.capabilities
    for name, tenant in fleet.environment.tenants.items():
        budget = tenant.daily_budget_usd
        if budget is None:
            continue
        agents = [item for item in fleet.of(kinds.AGENT) if item.namespace == name]
        if not scraped or not any(is_watched(item) for item in agents):
            why = (
                "no agent of the namespace has metrics of spending"
                if scraped
                else "the environment lacks the capability `prometheus-operator`"
            )
            yield problem_at(
                fleet.environment_tree,
                ("spec", "tenants", name, "dailyBudgetUsd"),
                "not-used",
                f"no alert tells of the budget: {why}",
                hint="remove it, unless you plan to use it later",
                severity="note",
            )
        for item in agents:
            own = item.spec.rate_limits.daily_cost_usd
            if own is not None and own > budget:
                yield item.problem(
                    ("spec", "rateLimits", "dailyCostUsd"),
                    "above-budget",
                    f"the agent may spend {own:g} USD a day, and the whole namespace should spend {budget:g}",
                    hint=f"lower it, or raise `tenants.{name}.dailyBudgetUsd` of the environment",
                    severity="warning",
                )
