"""The command line: one module per command, imported only when the command is called."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Annotated

import typer

import fleetform

COMMANDS = (
    "init",
    "validate",
    "render",
    "explain",
    "diff",
    "plan",
    "gc",
    "list",
    "policy",
    "releases",
    "secrets",
    "schema",
    "migrate",
    "run",
    "chat",
)

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


def main() -> None:
    """Run the command line; this is the console script's entry point."""
    # A run is short and creates few cycles: collecting them takes a fifth of its time and frees
    # nothing.
    gc.disable()
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    app(only)()
