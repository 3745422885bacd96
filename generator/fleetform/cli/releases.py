"""`fleetform releases`: the Helm releases of an environment, in installation order."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline, targets
from fleetform.cli import options
from fleetform.cli.rendering import warn_of_missing_charts
from fleetform.cli.report import Format, reported, show
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.targets import helm
from fleetform.platforms.kubernetes.targets.helm import Release
from fleetform.write import Output


@reported
def command(
    env: options.Env = options.ENV,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder that charts/values/ENV was rendered into.")
    ] = Path(),
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="DURATION",
            help="Add options of Helm 4: wait this long for each release, such as 10m, and roll it back if it "
            "fails. A release with claims, which wait for pods of later releases, is not waited for.",
            show_default=False,
        ),
    ] = None,
    form: options.Form = Format.TEXT,
) -> None:
    """Print the Helm releases of an environment, each after those it depends on.

    First come the shared objects of a namespace, then stores, MCP servers and agents, callees
    before their callers. The text output is one helm command per release; --format json prints a
    list of {name, namespace, chart, values, waits}, with version if the environment sets one;
    `waits` is whether helm may wait for it. Namespaces are not part of any release: apply
    OUT/rendered/ENV/_namespaces/ first, or let the cluster's owner create them.

    Examples:

      fleetform releases --env prod

      fleetform releases --env prod --wait 10m | sh -e

      fleetform releases --env prod --format json | jq -r '.[].name'
    """
    built, problems = pipeline.build(agents, environments, env, "helm")
    show(problems, Format.TEXT)
    rows = [_row(release, built, out) for release in helm.releases(built)]
    if form is Format.JSON:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for row in rows:
            typer.echo(_line(row, wait))
    _warn(built, out)


def _row(release: Release, built: Build, out: Path) -> dict[str, object]:
    plan = built.plan
    row: dict[str, object] = {
        "name": release.name,
        "namespace": release.namespace,
        "chart": f"{plan.charts}/{release.chart}",
        "waits": not _has_claims(release),
        "values": [(out / targets.folder("helm", plan.environment) / release.values).as_posix()],
    }
    return {**row, "version": plan.chart_version} if plan.chart_version else row


def _has_claims(release: Release) -> bool:
    """Whether helm would wait for claims, which most storage classes bind with a later release's first pod."""
    return release.name == helm.SHARED and bool(release.document.get("claims"))


def _line(row: dict[str, object], wait: str | None) -> str:
    words = ["helm", "upgrade", "--install", row["name"], row["chart"], "-n", row["namespace"]]
    if "version" in row:
        words += ["--version", row["version"]]
    for path in row["values"] if isinstance(row["values"], list) else ():
        words += ["-f", path]
    if wait is not None:
        words += ["--rollback-on-failure", "--timeout", wait] if row["waits"] else []
    return shlex.join(map(str, words))


def _warn(built: Build, out: Path) -> None:
    """Warn if the charts are not there, or the values files differ from what would be rendered now."""
    warn_of_missing_charts(built.plan.charts, Path())
    for folder, files in helm.folders(built).items():
        made = {path: file.text for path, file in files.items()}
        if Output(out, folder).compare(made):
            typer.echo(
                f"warning: {(out / folder).as_posix()} is missing or stale\n"
                f"  hint: run `fleetform render --env {built.plan.environment} --target helm`",
                err=True,
            )
