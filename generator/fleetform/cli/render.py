"""`fleetform render`: specs and an environment → manifests, chart values, overlays."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetform import targets as registry
from fleetform.cli import options, rendering
from fleetform.cli.report import Format

Target = StrEnum("Target", {name.upper(): name for name in registry.NAMES})  # type: ignore[misc]
"""The targets of `render` and of an environment's `targets`."""


def command(
    context: typer.Context,
    env: options.Env = options.ENV,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Render all environments; remove folders whose environment or target is gone.",
        ),
    ] = False,
    targets: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            "-t",
            help="Target to write; may be repeated. Default: the environment's `targets`.",
            show_default=False,
        ),
    ] = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Output folder; each target gets its own folder in it."),
    ] = Path(),
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; print differences, and exit with 3 if there are any.",
        ),
    ] = False,
    show_diff: Annotated[
        bool, typer.Option("--diff", help="Print a unified diff of the changes while writing.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Render an environment, or all of them.

    The target `manifests` writes OUT/rendered/ENV/: _namespaces/, a file per workload in
    NAMESPACE/, one per object that it has once in NAMESPACE/_namespace/, and kustomization.yaml files.
    `kustomize` writes OUT/kustomize/overlays/ENV/, and OUT/kustomize/base/ if its root changed;
    `flux` and `argocd` write the objects for these tools to OUT/flux/ENV/ and OUT/argocd/ENV/. Only
    files that differ are written; files that are no longer rendered are removed; other people's
    files are never touched. If the input has any error, nothing is written.

    Examples:

      fleetform render --env prod

      fleetform render --env staging --diff

      fleetform render --all --check

      fleetform render --env prod --target manifests --check --format github
    """
    source = context.get_parameter_source("env")
    if everything and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("`--all` renders every environment: leave out `--env`")
    rendering.run(
        env=env,
        everything=everything,
        targets=targets,
        agents=agents,
        environments=environments,
        out=out,
        check=check,
        show_diff=show_diff,
        form=form,
    )
