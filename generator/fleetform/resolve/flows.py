"""What a workflow refers to: the agents of its steps, and the store that keeps its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import STORE_PORTS
from fleetform.names import fit
from fleetform.records import NamedTuple
from fleetform.resolve import sharing
from fleetform.resolve.references import lookup, reachable
from fleetform.targets import ARGO

if TYPE_CHECKING:
    from fleetform.models.workflow import WorkflowRunSpec, WorkflowSpec
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.catalog import Key
    from fleetform.resolve.references import Uses


RUN = "WORKFLOW_RUN"
"""Variable with the name of a scheduled run: that of its Job, which is another one at each time."""


class Kept(NamedTuple):
    """A store of runs: the MemoryStore, and its spec with the host that it has in the environment."""

    store: Resolved[Any]
    spec: Any


def by_argo(fleet: Fleet) -> bool:
    """Whether Argo Workflows executes the workflows: its target is one of the environment's, whatever a run renders."""
    return ARGO in fleet.environment.targets


def runs_of(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> list[Resolved[WorkflowRunSpec]]:
    """Return the runs of a workflow that specs ask for."""
    return [run for run in fleet.of(kinds.WORKFLOW_RUN) if workflow_of(fleet, run) is workflow]


def schedule_of(workflow: str) -> str:
    """Return the name of what begins a workflow's runs by its schedule."""
    return fit(workflow, "-schedule", 43)


def agents_of(fleet: Fleet, workflow: Resolved[WorkflowSpec]) -> dict[str, Resolved[Any]]:
    """Return the agents of the steps by their names; those that are unknown are told of elsewhere."""
    found: dict[str, Resolved[Any]] = {}
    for step in workflow.spec.steps:
        agent = fleet.find("Agent", workflow.namespace, step.agent)
        if agent is not None:
            found[step.agent] = agent
    return found


def entries(workflow: Resolved[WorkflowSpec]) -> dict[str, str]:
    """Return for each step the name of its agent in the configuration.

    A step that signs in as somebody else has an entry of its own, of a name that nothing else has: the credentials of
    one are never sent by another.
    """
    taken = {step.agent for step in workflow.spec.steps}
    found: dict[str, str] = {}
    for step in workflow.spec.steps:
        name, number = step.name, 1
        if step.authentication is None:
            name = step.agent
        else:
            while name in taken:
                number += 1
                name = fit(step.name, f"-{number}", 63)
            taken.add(name)
        found[step.name] = name
    return found


def workflow_of(fleet: Fleet, run: Resolved[WorkflowRunSpec]) -> Resolved[WorkflowSpec] | None:
    """Return the workflow of a run."""
    return fleet.find("Workflow", run.namespace, run.spec.workflow_ref.name)


def kept(
    fleet: Fleet,
    workflow: Resolved[WorkflowSpec],
    uses: dict[Key, Uses],
    problems: list[Problem],
) -> Kept | None:
    """Return the store of a workflow's runs: its own, or the server that all of its agents share; None for a pod's memory."""
    own = workflow.spec.memory
    if own is None:
        return _of_agents(fleet, workflow, uses)
    path = ("spec", "memory", "store")
    store = lookup(fleet, workflow, path, ("MemoryStore",), own.store, problems)
    if store is None:
        return None
    if store.spec.type not in STORE_PORTS:
        problems.append(
            workflow.problem(
                path,
                "not-shared",
                f"the MemoryStore `{own.store}` is of type `{store.spec.type}`, which one process has for itself",
                hint=f"use one of type {' or '.join(STORE_PORTS)}",
            )
        )
        return None
    return Kept(store, reachable(fleet, store))


def _of_agents(
    fleet: Fleet, workflow: Resolved[WorkflowSpec], uses: dict[Key, Uses]
) -> Kept | None:
    agents = agents_of(fleet, workflow).values()
    stores = [uses[agent.key].store for agent in agents if agent.key in uses]
    store = stores[0] if stores else None
    if store is None or any(other is not store for other in stores):
        return None
    barred = any(sharing.problems(fleet, workflow, ("spec",), store))
    if barred or store.spec.type not in STORE_PORTS:
        return None
    return Kept(store, reachable(fleet, store))


def names(fleet: Fleet) -> list[tuple[Resolved[Any], str, str]]:
    """Return every workload that workflows make: its document, its name, and what it is."""
    found: list[tuple[Resolved[Any], str, str]] = []
    if by_argo(fleet):
        return [
            (item, item.name, f"what the steps of Workflow `{item.name}` share")
            for item in fleet.of(kinds.WORKFLOW)
        ]
    for workflow in fleet.of(kinds.WORKFLOW):
        if workflow.spec.serve is not None:
            found.append((workflow, workflow.name, f"the API of Workflow `{workflow.name}`"))
        if workflow.spec.schedule is not None:
            what = f"the schedule of Workflow `{workflow.name}`"
            found.append((workflow, schedule_of(workflow.name), what))
    found += [(run, run.name, f"WorkflowRun `{run.name}`") for run in fleet.of(kinds.WORKFLOW_RUN)]
    return found
