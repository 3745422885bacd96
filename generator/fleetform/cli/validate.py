"""`fleetform validate`: report every problem in specs and environments, without writing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline
from fleetform.cli import options
from fleetform.cli.report import Format, reported, show, stop
from fleetform.problems import Problem, errors


@reported
def command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files or folders of specs and environments; default: agents, and --environments.",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            "-e",
            help="Also check references and capabilities in this environment.",
            show_default=False,
        ),
    ] = None,
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """Check specs and report every problem.

    Checks YAML, fields, types and values; with --env, everything that rendering checks.

    Without --env each document is checked on its own: whether a reference resolves depends on the
    fleet and the environment.

    Examples:

      fleetform validate

      fleetform validate agents --env prod --format sarif > fleetform.sarif
    """
    sources = pipeline.read(paths or [Path("agents"), environments])
    if env is None:
        _finish(sources.problems, len(sources.documents), form)
        return
    _, problems = pipeline.judged(sources, environments, env)
    _finish(problems, len(sources.documents), form)


def _finish(problems: list[Problem], count: int, form: Format) -> None:
    if errors(problems):
        stop(problems, form)
    show(problems, form)
    if form is Format.TEXT:
        typer.echo(f"{count} document{'s' if count != 1 else ''} valid", err=True)
