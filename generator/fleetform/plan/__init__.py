"""A resolved fleet → plans: every decision taken, every rule checked, all problems at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fleetform import rules
from fleetform.plan import delivery, kinds, namespaces, network, patches, workload
from fleetform.plan.draft import Draft
from fleetform.plan.model import FleetPlan, NamespacePlan, WorkloadPlan
from fleetform.plan.scaling import decide
from fleetform.problems import Problem, errors
from fleetform.resolve.catalog import Key
from fleetform.resolve.hosts import is_deployed
from fleetform.resolve.references import Uses, uses

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

__all__ = ["plan"]


def plan(fleet: Fleet) -> tuple[FleetPlan | None, list[Problem]]:
    """Return the plan of an environment, None when an error stands in its way, and all problems."""
    drafts, problems = draft_all(fleet)
    # Errors do not end it here: what planning finds is said in the same run.
    closed, spaces = close(fleet, drafts, problems)
    if errors(problems):
        return None, problems
    return whole(fleet, [workload for _, workload in closed], spaces), problems


def draft_all(fleet: Fleet) -> tuple[list[Draft], list[Problem]]:
    """Return a draft of every workload, and what the rules and the drafting have to say."""
    references = {agent.key: uses(fleet, agent) for agent in fleet.of("Agent")}
    problems = [*rules.problems(fleet, references)]
    return _drafts(fleet, references, problems), problems


def close(
    fleet: Fleet, drafts: list[Draft], problems: list[Problem]
) -> tuple[list[tuple[Draft, WorkloadPlan]], list[NamespacePlan]]:
    """Return the plans of drafts that know each other, and of their namespaces."""
    _link(fleet, drafts)
    spaces: dict[str, list[Draft]] = {}
    for draft in drafts:
        spaces.setdefault(draft.resolved.namespace, []).append(draft)
    closed: list[tuple[Draft, WorkloadPlan]] = []
    spaced = []
    for space, members in sorted(spaces.items()):
        shared = _shared_claims(members)
        plans = [workload.workload_plan(fleet, draft, shared, problems) for draft in members]
        closed += zip(members, plans, strict=True)
        need = namespaces.needs(members, plans, shared)
        spaced.append(namespaces.namespace_plan(fleet, space, plans, need))
    return closed, spaced


def whole(fleet: Fleet, workloads: list[WorkloadPlan], spaces: list[NamespacePlan]) -> FleetPlan:
    """Return the plan of an environment, in order of names."""
    return FleetPlan(
        fleet.environment_name,
        tuple(sorted(workloads, key=lambda item: (item.namespace, item.name))),
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
    )


def _drafts(fleet: Fleet, references: dict[Key, Uses], problems: list[Problem]) -> list[Draft]:
    drafts = [
        kinds.agent(fleet, agent, references[agent.key], problems) for agent in fleet.of("Agent")
    ]
    drafts += [
        kinds.server(fleet, item, problems) for item in fleet.of("MCPServer") if is_deployed(item)
    ]
    drafts += [
        kinds.store(fleet, item, problems) for item in fleet.of("MemoryStore") if is_deployed(item)
    ]
    return drafts


def _link(fleet: Fleet, drafts: list[Draft]) -> None:
    """Let callers in where they are expected: each egress to the fleet is an ingress of the other side."""
    by_identity = {id(draft.resolved): draft for draft in drafts}
    for draft in drafts:
        resolved = draft.resolved
        caller = network.pods(fleet.target_namespace(resolved.namespace), resolved.name)
        for callee, ports in draft.traffic.links:
            other = by_identity.get(id(callee))
            if other is not None:
                other.callers.allow(caller, ports)
        for caller_of, ports in draft.callers.links:
            other = by_identity.get(id(caller_of))
            if other is not None:
                other.traffic.allow(caller, ports)


def _shared_claims(drafts: list[Draft]) -> set[str]:
    """Return the names of claims that more than one pod of a namespace may mount."""
    pods: Counter[str] = Counter()
    for draft in drafts:
        claims = [item.name for item in draft.workload.volumes if item.claim is not None]
        if claims and not draft.workload.stateful:
            most = decide(draft.resolved.name, draft.workload.scaling).most if draft.scalable else 1
            pods.update(dict.fromkeys(claims, most))
    return {name for name, count in pods.items() if count > 1}
