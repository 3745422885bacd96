"""The application of the command line: its commands, and what it says of itself."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

import fleetform
from fleetform.cli import COMMANDS

HELP = """Turn declarative specs of AI agents into Kubernetes objects that you review and commit.

Specs are in agents/, environments in environments/, and the output for Flux in rendered/<env>/.

\b
  fleetform validate agents --env prod             report every problem, with file, line and hint
  fleetform render --env prod                      write rendered/prod
  fleetform render --env prod --check              CI: exit 3 when rendered/prod is stale
  fleetform explain Agent/support scaling -e prod  show which file and line set a value

Exit codes: 0 success, 1 problems in the input, 2 usage error, 3 differences found.
"""


def app(only: str = "") -> typer.Typer:
    """Return the application with all commands, or with only the one that will run."""
    cli = typer.Typer(
        name="fleetform",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    cli.callback()(_main)
    for name in (only,) if only in COMMANDS else COMMANDS:
        module = import_module(f"fleetform.cli.{name}")
        if hasattr(module, "group"):
            cli.add_typer(module.group, name=name)
        else:
            cli.command(name)(module.command)
    return cli


def _version(asked: bool) -> None:
    if asked:
        typer.echo(fleetform.__version__)
        raise typer.Exit


def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    del version
