"""Documents from which nothing is rendered, since nothing refers to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.dialects import python_logging
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved, flows
from fleetform.resolve.backups import is_planned
from fleetform.resolve.hosts import is_deployed
from fleetform.resolve.layers import extended
from fleetform.resolve.references import summary_config
from fleetform.tree import problem_at

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.resolve.references import Uses
    from fleetform.rules import AgentUses


def unused(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield documents that exist only for others to refer to, and that none refers to."""
    yield from _begun(fleet)
    yield from _levels(fleet)
    found = {id(item) for use in uses.values() for _, item in (*use.tools, *use.servers)}
    found |= {id(use.store) for use in uses.values() if use.store is not None}
    keeping = (flows.kept(fleet, workflow, uses, []) for workflow in fleet.of(kinds.WORKFLOW))
    found |= {id(kept.store) for kept in keeping if kept is not None}
    named, bases = _models(fleet, uses), extended(fleet.catalog)
    for kind in ("AgentTemplate", "ModelConfig", "Tool", "MCPServer", "MemoryStore"):
        for resolved in fleet.of(kind):
            if kind == "AgentTemplate":
                used = resolved.key in bases
            elif kind == "ModelConfig":
                used = id(resolved) in named
            elif kind == "MemoryStore" and is_planned(fleet, resolved):
                used = True  # its backups are
            else:
                used = id(resolved) in found or (kind != "Tool" and is_deployed(resolved))
            if not used:
                yield resolved.problem(
                    ("spec",),
                    "not-rendered",
                    f"no agent {'extends' if kind == 'AgentTemplate' else 'uses'} this {kind}: nothing is rendered from it",
                    hint="name it in an agent, or remove it",
                    severity="note",
                    key=True,
                )


def _levels(fleet: Fleet) -> Iterator[Problem]:
    """Yield configurations of logging in namespaces in which no agent could obey them."""
    generic = {item.namespace for item in fleet.of(kinds.AGENT) if item.spec.container is None}
    for (space, name), levels in fleet.catalog.of(python_logging.KIND):
        if not generic or (space and space not in generic):
            yield problem_at(
                levels.tree,
                ("kind",),
                "not-rendered",
                f"no agent of the runtime is in the namespace of ConfigMap `{name}`: nothing obeys its levels",
                hint="move it to their namespace, or remove it",
                severity="note",
            )


def _begun(fleet: Fleet) -> Iterator[Problem]:
    """Yield workflows of which nobody begins a run, unless anybody may by a template in the cluster."""
    if flows.by_argo(fleet):
        return
    named = {(run.namespace, run.spec.workflow_ref.name) for run in fleet.of(kinds.WORKFLOW_RUN)}
    for workflow in fleet.of(kinds.WORKFLOW):
        spec = workflow.spec
        if spec.serve is None and spec.schedule is None and workflow.key not in named:
            yield workflow.problem(
                ("spec",),
                "not-rendered",
                "nothing begins a run of this Workflow: nothing is rendered from it",
                hint="add a WorkflowRun, `schedule` or `serve`",
                severity="note",
                key=True,
            )


def _models(fleet: Fleet, uses: AgentUses) -> set[int]:
    """Return the ModelConfigs that agents on the generic runtime refer to."""
    return {
        id(item)
        for agent in fleet.of(kinds.AGENT)
        for item in configs_of(fleet, agent, uses[agent.key])
    }


def configs_of(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> list[Resolved[Any]]:
    """Return the ModelConfigs that an agent refers to, none with an image of its own."""
    spec = agent.spec
    if spec.container is not None:
        return []
    names = [spec.model_config_ref, *(spec.models or ()), *(spec.fallbacks or ())]
    names += [variant.model_config_ref for variant in spec.variants]
    found: list[Resolved[Any] | None] = [
        fleet.find("ModelConfig", space or agent.namespace, short)
        for space, _, short in (name.rpartition("/") for name in names if name)
    ]
    if uses.memory is not None:
        found.append(summary_config(fleet, agent, uses.memory.policy.compression))
    return [item for item in found if item is not None]
