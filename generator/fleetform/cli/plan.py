"""`fleetform plan`: what an apply would change in a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetform import pipeline
from fleetform.cli import options, progress
from fleetform.cli.report import DRIFT, PROBLEMS, Format, reported, show
from fleetform.releases import holds
from fleetform.tree import dotted

if TYPE_CHECKING:
    from fleetform.platforms.kubernetes.objects import Unit
    from fleetform.releases.holds import Hold

SIGNS = {"create": "+", "change": "~", "recreate": "!", "refused": "!", "prune": "-"}


@reported
def command(
    env: options.Env = options.ENV,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    field_manager: Annotated[
        str | None,
        typer.Option(
            help="Field manager to apply as. Default: the one that last applied each object.",
        ),
    ] = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder that was rendered into, which has the holds."),
    ] = Path(),
    form: options.Form = Format.TEXT,
) -> None:
    """Show what an apply would change in a cluster.

    Each object is sent as a server-side apply with dry run, so the API server's defaults, admission
    and refusals are included, and nothing is written. Objects in the environment's namespaces that
    Fleetform wrote and no longer renders are shown as pruned, except for those that are kept. What
    `fleetform rollback` holds is compared as it is held.

    + would be created, ~ changed (field by field), - pruned; ! cannot be applied: an immutable
    field changes, so the object must be deleted first, or admission refuses it. Exits with 3 if
    anything would change, with 1 if something is refused. docs/cluster.md lists the permissions
    needed.

    Examples:

      fleetform plan --env prod

      fleetform plan --env prod --context eks-prod --format json
    """
    from fleetform.platforms.kubernetes.live import api, changes  # noqa: PLC0415
    from fleetform.platforms.kubernetes.targets import argo_workflows  # noqa: PLC0415

    built, problems = pipeline.build(agents, environments, env, "manifests")
    held = {hold.key: hold for hold in holds.read(out, env)}
    show(problems, Format.TEXT)
    with progress.bar(f"planning {env}"), api.connected(kubeconfig, context) as cluster:
        units = [*_held(built.units, held), *argo_workflows.units(built)]
        kinds = argo_workflows.KINDS if built.plan.has_argo else ()
        rows = [*changes.rows(cluster, units, built.plan.spaces, field_manager, kinds)]
    if form is Format.JSON:
        typer.echo(json.dumps([_data(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        for row in rows:
            typer.echo(_text(row))
        typer.echo(_summary(rows), err=True)
    if any(row.action == "refused" for row in rows):
        raise typer.Exit(PROBLEMS)
    if rows:
        raise typer.Exit(DRIFT)


def _held(units: Iterable[Unit], held: Mapping[tuple[str, str], Hold]) -> Iterator[Unit]:
    """Yield units, those of held workloads with the objects that are kept."""
    for unit in units:
        hold = held.get((unit.namespace, unit.workload))
        yield unit if hold is None else unit._replace(objects=hold.objects())


def _text(row: Any) -> str:
    place = f"{row.namespace}/{row.name}" if row.namespace else row.name
    lines = [f"{SIGNS[row.action]} {row.kind} {place}"]
    if row.message:
        lines.append(f"    {row.message}")
    lines += [
        f"    {dotted(change.path)}: {_shown(change.old)} → {_shown(change.new)}"
        for change in row.changes
    ]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _data(row: Any) -> dict[str, Any]:
    return {
        "action": row.action,
        "kind": row.kind,
        "namespace": row.namespace,
        "name": row.name,
        "message": row.message,
        "changes": [
            {"path": dotted(change.path), "old": change.old, "new": change.new}
            for change in row.changes
        ],
    }


def _summary(rows: list[Any]) -> str:
    words = {
        "create": "to create",
        "change": "to change",
        "prune": "to prune",
        "recreate": "to delete and recreate",
        "refused": "refused",
    }
    said = [
        f"{count} {words[action]}"
        for action in words
        if (count := sum(row.action == action for row in rows))
    ]
    return ", ".join(said) or "nothing to change"
