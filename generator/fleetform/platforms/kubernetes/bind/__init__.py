"""A plan → what Kubernetes runs: addresses, secrets, probes, scalers and policies in Kubernetes' terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fleetform.plan.model import Plan, Workload
from fleetform.platforms.kubernetes import rules
from fleetform.platforms.kubernetes.bind import (
    delivery,
    namespaces,
    network,
    patches,
    quotas,
    secrets,
)
from fleetform.platforms.kubernetes.bind.pods import shared_claims
from fleetform.platforms.kubernetes.bind.workload import workload_plan
from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan, WorkloadPlan
from fleetform.problems import Problem
from fleetform.targets import ARGO

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

__all__ = ["bind", "closed", "whole"]


def bind(fleet: Fleet, plan: Plan) -> tuple[FleetPlan, list[Problem]]:
    """Return a plan bound to Kubernetes, and the problems found there."""
    problems = [*rules.problems(fleet)]
    workloads, spaces = closed(fleet, plan, plan.workloads, problems)
    return whole(fleet, workloads, spaces), problems


def closed(
    fleet: Fleet, plan: Plan, members: Iterable[Workload], problems: list[Problem]
) -> tuple[list[WorkloadPlan], list[NamespacePlan]]:
    """Return some workloads of a plan as Kubernetes runs them, and the shared objects of their namespaces."""
    policies = network.policies(fleet, plan, problems)
    spaces: dict[str, list[Workload]] = {}
    for workload in members:
        spaces.setdefault(workload.key[0], []).append(workload)
    found: list[WorkloadPlan] = []
    spaced: list[NamespacePlan] = []
    needed: list[secrets.Needs] = []
    for space, own in sorted(spaces.items()):
        shared = shared_claims(own)
        plans = [workload_plan(fleet, item, policies, shared, problems) for item in own]
        found += plans
        needed.append(secrets.needs(own, plans, shared))
        spaced.append(namespaces.namespace_plan(fleet, space, plans, needed[-1]))
    named = [*zip(sorted(spaces), spaced, strict=True)]
    if fleet.environment.secrets.provider != "kubernetes":
        problems += secrets.problems(fleet, named, needed)
    if fleet.environment.tenants:
        problems += quotas.problems(fleet, named, found)
    return found, spaced


def whole(fleet: Fleet, workloads: list[WorkloadPlan], spaces: list[NamespacePlan]) -> FleetPlan:
    """Return the plan of an environment, sorted by name."""
    ordered = sorted(workloads, key=lambda item: (item.namespace, item.name))
    return FleetPlan(
        fleet.environment_name,
        tuple(item for item in ordered if item.flow is None),
        tuple(sorted(spaces, key=lambda item: item.name)),
        tuple(patches.of_environment(fleet)),
        fleet.targets,
        fleet.environment.helm.charts.rstrip("/"),
        fleet.environment.helm.version or "",
        fleet.environment.gitops.kustomization,
        delivery.gitops(fleet),
        tuple(
            sorted({*fleet.environment.namespaces.map.values(), *(item.name for item in spaces)})
        ),
        tuple(item for item in ordered if item.flow is not None),
        fleet.environment.images.require_digest,
        ARGO in fleet.environment.capabilities,
    )
