"""`fleetform gc`: config revisions that nothing mounts any more."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fleetform import pipeline
from fleetform.cli import options
from fleetform.cli.report import Format, reported, show


@reported
def command(
    env: options.Env = options.ENV,
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            min=0,
            help="Newest revisions of each workload to keep, mounted or not.",
        ),
    ] = 3,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete them; otherwise they are only listed.")
    ] = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """List or delete config revisions that nothing mounts any more.

    Each change of a prompt or a configuration leaves an immutable ConfigMap behind, for rollbacks.
    A revision is unused if no pod, ReplicaSet, Deployment, StatefulSet, ControllerRevision, Job or
    CronJob refers to it, and it is not among the newest of its workload: whatever `kubectl rollout
    undo` can reach is kept. Of a workload that was uninstalled, none are kept. Only the
    environment's namespaces are searched. docs/cluster.md lists the permissions needed.

    Examples:

      fleetform gc --env prod

      fleetform gc --env prod --keep 5 --yes
    """
    from fleetform.platforms.kubernetes.live import api, gc  # noqa: PLC0415

    built, problems = pipeline.build(agents, environments, env, "manifests")
    show(problems, Format.TEXT)
    rows = []
    with api.connected(kubeconfig, context) as cluster:
        for space in built.plan.spaces:
            for revision in gc.revisions(cluster, space, keep, argo=bool(built.plan.flows)):
                gone = not revision.kept and yes
                if gone:
                    cluster.delete(revision.manifest)
                rows.append(
                    {
                        "namespace": space,
                        "name": revision.name,
                        "kept": revision.kept,
                        "deleted": gone,
                    }
                )
    if form is Format.JSON:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        if not row["kept"]:
            typer.echo(f"{row['namespace']}/{row['name']}{' deleted' if row['deleted'] else ''}")
    unused = sum(not row["kept"] for row in rows)
    done = "deleted" if yes else "are unused: run it with --yes to delete them"
    typer.echo(f"{unused} of {len(rows)} revisions {done}", err=True)
