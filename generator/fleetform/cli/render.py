"""`fleetform render`: specs and an environment → reviewed manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import fleetform
from fleetform import pipeline
from fleetform.cli import options, progress
from fleetform.cli.report import DRIFT, Format, reported, show
from fleetform.write import Changes, Output, diff


@reported
def command(
    env: options.Env = "prod",
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder of the output; the environment's own folder is made in it."
        ),
    ] = Path("rendered"),
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; print what differs and leave with 3 when something does.",
        ),
    ] = False,
    show_diff: Annotated[
        bool, typer.Option("--diff", help="Print what changes, as a unified diff, while writing.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Render an environment's manifests.

    Writes OUT/ENV/namespaces.yaml, a file per workload in OUT/ENV/NAMESPACE/, what a namespace has
    once in _namespace.yaml, and kustomization.yaml files. Only files that differ are written; files
    that are no longer rendered are removed; files of others are never touched. With any error in
    the input nothing is written.

    Examples:

      fleetform render --env prod

      fleetform render --env staging --diff

      fleetform render --env prod --check --format github
    """
    with progress.bar(f"rendering {env}"):
        rendering = pipeline.render(agents, environments, env)
        output = Output(out / env, fleetform.__version__)
        changes = output.compare(rendering.texts) if check else output.write(rendering.texts)
    show(rendering.problems, form)
    if (check or show_diff) and changes:
        typer.echo("".join(diff(changes, f"{out.name}/{env}")), nl=False)
    if form is Format.TEXT:
        typer.echo(summary(changes, out / env, check=check), err=True)
    if check and changes:
        raise typer.Exit(DRIFT)


def summary(changes: Changes, folder: Path, *, check: bool) -> str:
    """Return what a run did, or would do, in one line."""
    rows = (
        (len(changes.new), "new"),
        (len(changes.changed), "changed"),
        (len(changes.stale), "removed"),
        (changes.same, "unchanged"),
    )
    said = ", ".join(f"{count} {word}" for count, word in rows if count) or "nothing to render"
    if check:
        verdict = "is stale: run `fleetform render`" if changes else "is up to date"
        return f"{folder} {verdict} ({said})"
    return f"{folder}: {said}"
