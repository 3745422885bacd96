"""`fleetform charts`: the Helm charts, into a repository of specs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform import charts
from fleetform.cli import options
from fleetform.cli.rendering import summary
from fleetform.cli.report import DRIFT, Format, reported
from fleetform.write import Output


@reported
def command(
    folder: Annotated[
        Path, typer.Argument(help="Folder for the charts: the environments' `helm.charts`.")
    ] = Path("charts"),
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit with 3 if the charts there are others."),
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Write the Helm charts that values are rendered for.

    The target `helm` and `gitops.way: helm` need them next to the values, or in an OCI repository that
    the environments name in `helm.charts`. They belong to this version of Fleetform: run it again after
    an upgrade. Other files in the folder, such as values, are left alone.

    Examples:

      fleetform charts

      fleetform charts --check

      fleetform charts /tmp/charts && helm package /tmp/charts/agent /tmp/charts/namespace
    """
    del form
    output = Output(folder.parent, folder.name)
    texts = charts.texts()
    changes = output.compare(texts) if check else output.write(texts)
    command = "fleetform charts" if folder == Path("charts") else f"fleetform charts {folder}"
    typer.echo(summary(changes, folder, command if check else ""), err=True)
    if check and changes:
        raise typer.Exit(DRIFT)
