"""`fleetform list`: what the specs define."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fleetform import pipeline
from fleetform.cli import options, tables
from fleetform.cli.report import Format, reported, stop
from fleetform.problems import errors
from fleetform.resolve.catalog import namespace_of
from fleetform.tree import at


@reported
def command(
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list instead of a table.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """List every spec and its file.

    Sorted by kind, namespace and name.

    Examples:

      fleetform list

      fleetform list --json | jq -r '.[] | select(.kind == "Agent") | .name'
    """
    specs = pipeline.read(agents)
    paths = [environments] if environments.exists() else []
    spaces = pipeline.read(paths)
    problems = [*specs.problems, *spaces.problems]
    if errors(problems):
        stop(problems, form)
    rows = [
        (
            document.kind,
            namespace_of(document),
            document.name,
            document.file,
            at(document.tree, ("spec", "description")) or "",
        )
        for document in (*specs.documents, *spaces.documents)
    ]
    rows.sort()
    if as_json or form is Format.JSON:
        keys = ("kind", "namespace", "name", "file", "description")
        typer.echo(
            json.dumps(
                [dict(zip(keys, row, strict=True)) for row in rows], indent=2, ensure_ascii=False
            )
        )
        return
    shown = [row[:4] for row in rows]
    typer.echo(tables.table(("KIND", "NAMESPACE", "NAME", "FILE"), shown, 0))
