"""`fleetform schema`: the JSON Schema of a kind, for editors and people."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

from fleetform.cli.report import USAGE, reported
from fleetform.kinds import NAMES
from fleetform.problems import did_you_mean


@reported
def command(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Kind, such as Agent; `any` prints the schema for files with several kinds.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a kind.

    Draft 2020-12, self-contained; without a kind, the kinds are listed.

    Examples:

      fleetform schema

      fleetform schema Agent > agent.schema.json
    """
    if kind is None:
        for name in NAMES:
            typer.echo(name)
        return
    names = {name.lower(): name.lower() for name in NAMES} | {"any": "fleetform"}
    chosen = names.get(kind.lower())
    if chosen is None:
        typer.echo(
            f"error: there is no kind `{kind}`\n  hint: {did_you_mean(kind, (*NAMES, 'any'), noun='kinds')}",
            err=True,
        )
        raise typer.Exit(USAGE)
    typer.echo(
        (files("fleetform") / "schemas" / f"{chosen}.json").read_text(encoding="utf-8"), nl=False
    )
