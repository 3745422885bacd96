"""`fleetform init`: create a new repository to start from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

import fleetform
from fleetform import scaffold
from fleetform.cli.report import reported
from fleetform.patterns import LABEL_NAME


def _name(value: str | None) -> str | None:
    """Check the name.

    Raises:
        BadParameter: it is not a valid namespace name.
    """
    if value is None or (re.fullmatch(LABEL_NAME, value) and len(value) <= scaffold.LONGEST_NAME):
        return value
    raise typer.BadParameter(
        f"`{value}` must consist of lower-case letters, digits and hyphens, "
        f"at most {scaffold.LONGEST_NAME}: it becomes a namespace"
    )


@reported
def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder; created if it does not exist.")
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            callback=_name,
            help="Name of the fleet and its namespace. Default: the folder's name.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Create a repository with an agent, a template, a model, environments, schemas and a Makefile.

    The result renders without problems. Nothing is ever overwritten: if a file is in the way, it is
    reported and nothing is written.

    Examples:

      fleetform init

      fleetform init my-agents --name support
    """
    found = scaffold.texts(name or scaffold.name_for(folder), fleetform.__version__)
    scaffold.write(folder, found)
    for path in found:
        typer.echo(str(folder / path))
    typer.echo(
        f"\nnext: cd {folder} && fleetform validate agents environments --env prod", err=True
    )
