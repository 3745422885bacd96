"""`fleetform graph`: who calls whom, and what a workflow does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetform import drawing, pipeline
from fleetform.cli import laptop, options
from fleetform.cli.report import USAGE, Format, reported, stop
from fleetform.drawing import Edge, Node
from fleetform.problems import errors

if TYPE_CHECKING:
    from fleetform.plan.model import Party, Plan, Workload


@reported
def command(
    workflow: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW]", help="Draw the steps of a workflow. Default: the fleet."
        ),
    ] = None,
    env: options.Env = options.ENV,
    form: Annotated[
        str, typer.Option("--format", help="`mermaid`, or `dot` for Graphviz.")
    ] = "mermaid",
    outside: Annotated[
        bool, typer.Option("--outside", help="Draw hosts outside of the fleet as well.")
    ] = False,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Draw who calls whom in an environment, or the steps of a workflow.

    The arrows are the ways that network policies open: what is not drawn cannot be called.

    Examples:

      fleetform graph --env prod

      fleetform graph --env prod --outside --format dot | dot -Tsvg > fleet.svg

      fleetform graph research-report-workflow
    """
    if form not in drawing.FORMS:
        typer.echo(f"error: --format is {' or '.join(drawing.FORMS)}, not `{form}`", err=True)
        raise typer.Exit(USAGE)
    if workflow is not None:
        nodes, edges = _steps(workflow, env, agents, environments)
    else:
        nodes, edges = _fleet(env, agents, environments, outside)
    typer.echo(drawing.drawn(form, nodes, edges), nl=False)


def _fleet(
    env: str, agents: list[Path], environments: Path, outside: bool
) -> tuple[list[Node], list[Edge]]:
    found, problems = pipeline.judged(pipeline.read(agents), environments, env, [])
    if found is None or errors(problems):
        stop(problems, Format.TEXT)
    plan = found.plan
    nodes = [
        Node(_name(item), f"{item.name}\n{item.component}", item.namespace, item.shape.ends)
        for item in plan.workloads
    ]
    known = {item.key: _name(item) for item in plan.workloads}
    edges = {
        Edge(known[link.caller], known[link.callee]): None
        for link in plan.links
        if link.caller in known and link.callee in known and link.caller != link.callee
    }
    if outside:
        hosts = [*_outside(plan)]
        nodes += [
            Node(host, host, "outside", is_round=True)
            for host in dict.fromkeys(host for _, host in hosts)
        ]
        edges |= {Edge(caller, host): None for caller, host in hosts}
    return sorted(nodes, key=lambda node: (node.frame == "outside", node.frame, node.name)), sorted(
        edges
    )


def _name(workload: Workload) -> str:
    return f"{workload.namespace}/{workload.name}"


def _outside(plan: Plan) -> Iterator[tuple[str, str]]:
    for item in plan.workloads:
        for traffic in item.reaches:
            yield _name(item), _party(traffic.party)


def _party(party: Party) -> str:
    return ".".join(map(str, party))


def _steps(
    name: str, env: str, agents: list[Path], environments: Path
) -> tuple[list[Node], list[Edge]]:
    fleet, _ = laptop.planned(env, agents, environments, Format.TEXT)
    spec = laptop.workflow_of(fleet, name, env).spec
    nodes = [
        Node("input", "\n".join(["input", *(item.name for item in spec.input)]), is_round=True)
    ]
    edges = []
    for step in spec.steps:
        nodes.append(Node(f"step {step.name}", f"{step.name}\n{step.agent}"))
        edges += [Edge(f"step {other}", f"step {step.name}") for other in step.depends_on]
        edges += [] if step.depends_on else [Edge("input", f"step {step.name}")]
    last = {step.name for step in spec.steps} - {n for step in spec.steps for n in step.depends_on}
    nodes.append(Node("output", "\n".join(["output", *spec.output]), is_round=True))
    edges += [Edge(f"step {step.name}", "output") for step in spec.steps if step.name in last]
    return nodes, edges
