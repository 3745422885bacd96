"""The shared objects of a namespace: claims, secrets, quotas, alert rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.hashes import sha256
from fleetform.plan.collector import COMPONENT
from fleetform.platforms.kubernetes import alerts
from fleetform.platforms.kubernetes.bind import delivery, secrets, stores
from fleetform.platforms.kubernetes.model import Dashboard, NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objectives import Objective, label
from fleetform.resolve.switches import OF_ALL, can_promise, is_watched

if TYPE_CHECKING:
    from fleetform.platforms.kubernetes.bind.secrets import Needs
    from fleetform.resolve import Fleet

WATCHED = ("agent", "workflow")
"""Components whose metrics alerts are for."""
CALLABLE = {kind.component: kind.name for kind in kinds.ALL if kind.callable}
"""Kinds of the workloads that alerts are about, by their components."""
POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}


def namespace_plan(
    fleet: Fleet, space: str, plans: list[WorkloadPlan], need: Needs
) -> NamespacePlan:
    """Return the plan of a namespace as named in the specs."""
    environment = fleet.environment
    name = fleet.target_namespace(space)
    labels = fleet.labels(space)
    quota = environment.tenants.get(space)
    store = stores.secret_store(fleet, space)
    watched = any(plan.metrics is not None and plan.component in WATCHED for plan in plans)
    collected = any(plan.metrics is not None and plan.component == COMPONENT for plan in plans)
    monitored = bool(plans) and "prometheus-operator" in environment.capabilities
    runbooks = environment.monitoring.runbooks or ""
    thresholds = {**alerts.THRESHOLDS, **view.dump(environment.monitoring.alert_thresholds)}
    own = _own_thresholds(fleet, space, plans, thresholds)
    promised = _objectives(fleet, space, plans)
    severities = view.dump(environment.monitoring.severities)
    budget = _whole(quota.daily_budget_usd) if quota and watched else None
    return NamespacePlan(
        name=name,
        labels=labels,
        create=environment.namespaces.create,
        namespace_labels={**labels, **environment.namespaces.labels, **POD_SECURITY},
        claims=tuple(claim for _, claim in sorted(need.claims.items())),
        secrets=secrets.planned(fleet, space, need) if store else (),
        store=store,
        given_secrets=secrets.given(fleet, space),
        refresh_interval=environment.secrets.refresh_interval,
        people=_people(quota) if quota else (),
        quota=dict(sorted(quota.hard.items())) if quota else {},
        limits=_limits(quota) if quota else {},
        alerts=tuple(
            alerts.groups(
                name,
                runbooks,
                runtime=watched,
                thresholds=thresholds,
                own=own,
                severities=severities,
                promised=promised,
                budget=budget,
                collector=collected,
            )
        )
        if monitored
        else (),
        budget=budget,
        collector_alerts=collected,
        alert_thresholds=thresholds,
        own_thresholds=own,
        runtime_alerts=watched,
        runbooks=runbooks,
        severities=severities,
        objectives=promised,
        alert_labels=dict(environment.monitoring.labels),
        dashboard=_dashboard(fleet, name) if watched else None,
        default_deny=environment.network.default_deny,
        retained=delivery.retained(fleet),
        verbatim=delivery.verbatim(fleet),
    )


def _whole(number: float | None) -> float | None:
    """Return a number as it is written: without a fraction of zero."""
    return int(number) if number is not None and float(number).is_integer() else number


def _own_thresholds(
    fleet: Fleet, space: str, plans: list[WorkloadPlan], thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Return the thresholds of a namespace's workloads that differ from those of the environment."""
    found: dict[str, dict[str, float]] = {}
    for plan in plans:
        item = fleet.specs.get(CALLABLE.get(plan.component, ""), {}).get((space, plan.name))
        given = item.spec.observability.alert_thresholds if item is not None else None
        if item is not None and view.given(given):
            known = {*alerts.THRESHOLDS} if is_watched(item) else {OF_ALL}
            own = {n: v for n, v in view.dump(given).items() if n in known}
            found[plan.name] = {n: v for n, v in own.items() if v != thresholds[n]}
    return {name: own for name, own in sorted(found.items()) if own}


def _dashboard(fleet: Fleet, name: str) -> Dashboard | None:
    """Return the dashboard of a namespace; its uid stays the same, for links to it and for Grafana to replace it."""
    wanted = fleet.environment.monitoring.dashboards
    if wanted is None:
        return None
    digest = sha256(f"{fleet.environment_name}/{name}".encode())
    return Dashboard(
        uid=f"fleetform-{digest[:16]}",
        title=f"Agents: {name} ({fleet.environment_name})",
        labels=dict(wanted.labels),
        folder=wanted.folder or "",
        instances=dict(wanted.instance_selector)
        if "grafana-operator" in fleet.environment.capabilities
        else {},
    )


def _objectives(fleet: Fleet, space: str, plans: list[WorkloadPlan]) -> dict[str, Objective]:
    """Return the objectives of a namespace's agents whose requests are counted under their own name."""
    found = {}
    for plan in sorted(plans, key=lambda plan: plan.name):
        if plan.component != kinds.AGENT.component or plan.metrics is None:
            continue
        item = fleet.specs[kinds.AGENT.name][space, plan.name]
        slo = item.spec.slo
        if slo is None or not can_promise(item):
            continue
        found[plan.name] = Objective(
            availability=slo.availability,
            latency=slo.latency.percent if slo.latency else None,
            bucket=label(slo.latency.seconds) if slo.latency else "",
            requests=slo.min_requests,
            days=int(slo.window.removesuffix("d")),
        )
    return {
        name: one
        for name, one in found.items()
        if one.availability is not None or one.latency is not None
    }


def _people(quota: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    rows = (("edit", quota.groups.edit), ("view", quota.groups.view))
    return tuple((role, tuple(groups)) for role, groups in rows if groups)


def _limits(quota: Any) -> dict[str, Any]:
    rows = (
        ("default", quota.default_limit),
        ("defaultRequest", quota.default_request),
        ("max", quota.max),
    )
    return {name: dict(sorted(values.items())) for name, values in rows if values}
