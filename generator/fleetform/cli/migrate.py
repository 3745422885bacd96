"""`fleetform migrate`: rewrite specs of another dialect in our own."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from fleetform.cli import options
from fleetform.cli.report import PROBLEMS, Format, reported, show
from fleetform.load import load
from fleetform.migrate import Migration, files, migrate
from fleetform.problems import Problem, errors


@reported
def command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files or folders of specs.", show_default=False),
    ],
    write: Annotated[
        bool, typer.Option("--write", "-w", help="Rewrite the files in place.")
    ] = False,
    show_diff: Annotated[
        bool, typer.Option("--diff", help="Print a unified diff of the changes.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Rewrite specs of another dialect (kagent.dev/v1alpha1) as fleetform.dev/v1alpha1.

    Comments, order, quotes and block text are kept, and so is every other document. The result has
    the same meaning: it renders to the same objects. A file with any error is not touched. Without
    --write the result is printed.

    Examples:

      fleetform migrate agent.yaml > migrated.yaml

      fleetform migrate agents --diff

      fleetform migrate agents --write
    """
    found, problems = _migrations(paths)
    show(problems, form)
    if write:
        for item in found:
            if item.new != item.old:
                files.replace(item.file, item.new)
    if show_diff:
        typer.echo("".join(map(_diff, found)), nl=False)
    elif not write and form is Format.TEXT:
        typer.echo(_stream(found), nl=False)
    if form is Format.TEXT:
        typer.echo(_summary(found, write=write), err=True)
    if errors(problems):
        raise typer.Exit(PROBLEMS)


def _migrations(paths: list[Path]) -> tuple[list[Migration], list[Problem]]:
    """Return the files that can be migrated, and the problems of all of them."""
    loaded = load(paths)
    problems = [*loaded.problems]
    broken = {problem.file for problem in errors(problems)}
    found = []
    for file in dict.fromkeys(document.file for document in loaded.documents):
        if file not in broken:
            item = migrate(files.read(file), file)
            problems += item.problems
            if not errors(item.problems):
                found.append(item)
    return found, problems


def _diff(item: Migration) -> str:
    lines = difflib.unified_diff(
        item.old.splitlines(keepends=True),
        item.new.splitlines(keepends=True),
        f"a/{item.file}",
        f"b/{item.file}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _stream(found: list[Migration]) -> str:
    """Return the files as one stream of documents; a single file is returned unchanged."""
    text = ""
    for item in found:
        if text:
            text += "" if text.endswith("\n") else "\n"
            text += "" if item.new.startswith("---") else "---\n"
        text += item.new
    return text


def _summary(found: list[Migration], *, write: bool) -> str:
    documents = sum(item.documents for item in found)
    if not documents:
        return "nothing to migrate"
    count = sum(item.new != item.old for item in found)
    said = f"{documents} document{'s' * (documents != 1)} in {count} file{'s' * (count != 1)}"
    return f"{said} {'migrated' if write else 'to migrate: use --write to do it in place'}"
