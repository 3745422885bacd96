"""A resolved fleet → its plan: what runs and who calls whom, with every rule checked and all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from fleetform import kinds, rules
from fleetform.forks import Beside
from fleetform.plan import (
    backups,
    collector,
    consent,
    containers,
    knowledge,
    pages,
    scaling,
    workflows,
    workloads,
)
from fleetform.plan.draft import Draft
from fleetform.plan.exposure import exposure
from fleetform.plan.model import Plan, Scrape, Shape, Workload
from fleetform.problems import Problem, errors, packed, unpacked
from fleetform.records import NamedTuple
from fleetform.resolve.hosts import is_deployed
from fleetform.resolve.ports import metrics_port
from fleetform.resolve.references import uses
from fleetform.rules import idle

if TYPE_CHECKING:
    from fleetform.resolve import Fleet
    from fleetform.resolve.catalog import Key
    from fleetform.resolve.references import Uses

__all__ = ["Planned", "closed", "plan", "planning"]

GENERIC = ("agent", workflows.COMPONENT)
"""Components that the generic runtime may be."""
WITH_METRICS_PORT = (workflows.COMPONENT, pages.COMPONENT)
"""Components that always serve metrics at the port of that name."""


class Planned(NamedTuple):
    """A plan, and the first call of `problems` waits for what rules find: they are checked meanwhile."""

    plan: Plan
    problems: Callable[[], list[Problem]]


def plan(fleet: Fleet) -> tuple[Plan, list[Problem]]:
    """Return the plan of an environment, and its problems, all of which are found in this process: it may watch for them."""
    with planning(fleet, beside=False) as found:
        return found.plan, found.problems()


@contextmanager
def planning(fleet: Fleet, *, beside: bool = True) -> Iterator[Planned]:
    """Plan an environment in a block that does more with the plan while its rules are checked.

    Errors do not end planning, so that the platforms' problems are reported in the same run.
    """
    references = {agent.key: uses(fleet, agent) for agent in fleet.of(kinds.AGENT)}
    if fleet.referred.said:  # all else would take as long
        said = [problem for found in references.values() for problem in found.problems]
        yield Planned(Plan(fleet.environment_name, (), ()), lambda: said)
        return
    problems: list[Problem] = []
    size = len(references) if beside else 0
    with Beside(lambda: packed(rules.problems(fleet, references)), size) as checked:
        said = rules.counted(fleet, references)
        drafts = _drafts(fleet, references, problems)
        declared = consent.Declared(drafts)
        problems += consent.problems(fleet, declared)
        found = tuple(closed(fleet, draft, problems) for draft in drafts)
        links = tuple(consent.links(declared))

        @cache
        def everything() -> list[Problem]:
            all_said = [*said, *unpacked(checked.result())]
            unused = () if errors(all_said) else idle.unused(fleet, references)
            return [*all_said, *unused, *problems]

        yield Planned(Plan(fleet.environment_name, found, links), everything)


def _drafts(fleet: Fleet, references: dict[Key, Uses], problems: list[Problem]) -> list[Draft]:
    """Return the drafts of all workloads, kind by kind."""
    drafts = [
        workloads.agent(fleet, agent, references[agent.key], problems)
        for agent in fleet.of(kinds.AGENT)
    ]
    agents = tuple(drafts)
    drafts += [
        job
        for agent in agents
        for job in knowledge.job(fleet, agent, references[agent.resolved.key])
    ]
    drafts += [
        workloads.server(fleet, item, problems)
        for item in fleet.of(kinds.MCP_SERVER)
        if is_deployed(item)
    ]
    drafts += [
        workloads.store(fleet, item, problems)
        for item in fleet.of(kinds.MEMORY_STORE)
        if is_deployed(item)
    ]
    drafts += [
        job
        for item in fleet.of(kinds.MEMORY_STORE)
        for job in backups.drafts(fleet, item, agents, problems)
    ]
    drafts += collector.drafts(fleet, problems)
    return [
        *drafts,
        *workflows.drafts(fleet, references, problems),
        *pages.drafts(fleet, problems),
    ]


def closed(fleet: Fleet, draft: Draft, problems: list[Problem]) -> Workload:
    """Return a draft's workload: decisions that are the same for all kinds."""
    resolved, spec = draft.resolved, draft.workload
    template = spec.pod_template
    if draft.shape is not Shape.JOB:  # which has the volumes of its agent
        root = ("spec", "provision") if draft.component == "memory-store" else ("spec",)
        problems += containers.in_memory(resolved, spec, root)
    return Workload(
        key=resolved.key,
        namespace=fleet.target_namespace(resolved.namespace),
        component=draft.component,
        shape=draft.shape,
        version=draft.image[1],
        spec=spec,
        resolved=resolved,
        image=draft.image[0],
        pull_policy=draft.pull_policy or fleet.environment.images.pull_policy or "",
        command=draft.command,
        args=draft.args,
        working_dir=draft.working_dir,
        env=draft.env,
        env_from=tuple(containers.env_from(draft.workload.env_from)),
        files=draft.files,
        ports=draft.ports,
        checks=draft.checks,
        probe=draft.probe,
        program=draft.program,
        owner=draft.owner,
        turn=draft.turn,
        drain=draft.drain,
        compute=containers.compute(spec.resources, containers.DEFAULT),
        volumes=draft.volumes,
        mounts=draft.mounts,
        sidecars=containers.extras(fleet, resolved, template.sidecars, "sidecars", problems),
        init=(
            *containers.extras(
                fleet, resolved, template.init_containers, "initContainers", problems
            ),
            *draft.beside,
        ),
        extra_volumes=containers.extra_volumes(template),
        scale=scaling.scale(spec.scaling) if draft.scalable else scaling.ONE,
        by_name=(draft.by_name or spec.stateful) and bool(draft.ports),
        exposure=exposure(fleet, draft, problems),
        scrape=_scrape(draft),
        reaches=tuple(draft.reaches),
        admits=tuple(draft.admits),
        labels={**fleet.labels(resolved.namespace), **resolved.typed.metadata.labels},
        schedule=draft.schedule,
        time_zone=draft.time_zone,
        overlaps=draft.overlaps,
        deadline=draft.deadline,
        fail_on=draft.fail_on,
        beside_of=draft.beside_of,
        flow=draft.flow,
        sandbox=draft.sandbox,
        bare=draft.bare,
    )


def _scrape(draft: Draft) -> Scrape | None:
    """Return where metrics are served; the generic runtime has metrics unless the spec disables them."""
    metrics = draft.workload.observability.metrics
    generic = draft.component in GENERIC and draft.workload.container is None
    wanted = (generic if metrics.enabled is None else metrics.enabled) and bool(draft.ports)
    if draft.component in WITH_METRICS_PORT:
        port = next((port for port in draft.ports if port.name == "metrics"), None)
    else:
        port = metrics_port(draft.resolved) if wanted else None
    return Scrape(port, metrics.path, metrics.interval_seconds) if port else None
