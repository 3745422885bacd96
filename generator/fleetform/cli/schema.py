"""`fleetform schema`: the JSON Schema of a kind for editors, its fields as a table for people."""

from __future__ import annotations

import shutil
import textwrap
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, NoReturn

import typer

from fleetform.cli.report import USAGE, reported
from fleetform.kinds import NAMES
from fleetform.problems import did_you_mean
from fleetform.reference import Row, rows


class Form(StrEnum):
    """What is printed of a kind."""

    JSON = "json"
    TABLE = "table"


@reported
def command(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Kind, such as Agent; `any` prints the schema for files with several kinds.",
            show_default=False,
        ),
    ] = None,
    field: Annotated[
        str,
        typer.Argument(
            metavar="[FIELD.PATH]",
            help="Only this field and its subfields, such as spec.scaling; printed as a table.",
            show_default=False,
        ),
    ] = "",
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="The JSON Schema, or a table of fields. Default: json, for a field table.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a kind, or its fields as a table.

    Draft 2020-12, self-contained; without a kind, the kinds are listed. A table shows type, limits,
    default and meaning of each field, as docs/reference/ does.

    Examples:

      fleetform schema

      fleetform schema Agent > agent.schema.json

      fleetform schema Agent spec.scaling
    """
    if kind is None:
        for name in NAMES:
            typer.echo(name)
        return
    names = {name.lower(): name for name in NAMES} | {"any": "fleetform"}
    chosen = names.get(kind.lower())
    if chosen is None:
        _refuse(f"there is no kind `{kind}`", did_you_mean(kind, (*NAMES, "any"), noun="kinds"))
    table = form is Form.TABLE or (form is None and bool(field))
    if table and chosen in NAMES:
        _table(chosen, field)
    elif table or field:
        _refuse(
            "a JSON Schema is printed whole, a table of one kind",
            "write `fleetform schema Agent spec.scaling --format table`",
        )
    else:
        path = files("fleetform") / "schemas" / f"{chosen.lower()}.json"
        typer.echo(path.read_text(encoding="utf-8"), nl=False)


def _table(kind: str, field: str) -> None:
    found = rows(kind, field)
    if not found:
        paths = [row.path for row in rows(kind)]
        wanted = field if field.startswith(("spec", "metadata")) else f"spec.{field}"
        _refuse(f"{kind} has no field `{field}`", did_you_mean(wanted, paths, noun="fields"))
    width = min(shutil.get_terminal_size((100, 0)).columns, 120)
    for row in found:
        typer.echo(_text(row, width))


def _text(row: Row, width: int) -> str:
    """Return a field in two or more lines: its path, type and default, and below it what it means."""
    facts = ["required" if row.default == "required" else "", row.type_and_limits]
    head = f"{row.path}  {', '.join(fact for fact in facts if fact)}"
    lines = [row.text]
    if row.default not in {"", "required"}:
        lines.append(f"default: {row.default}")
    if row.refers:
        lines.append(f"fields: fleetform schema {row.refers} spec")
    return "\n".join([head, *(_wrapped(line, width) for line in lines if line)])


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _refuse(message: str, hint: str) -> NoReturn:
    typer.echo(f"error: {message}\n  hint: {hint}", err=True)
    raise typer.Exit(USAGE)
