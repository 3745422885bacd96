"""Options that commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform.cli.report import Format

Env = Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="Environment, by its name.")]
Agents = Annotated[
    list[Path],
    typer.Option("--agents", "-a", help="Folder or file of specs; may be given more than once."),
]
Environments = Annotated[Path, typer.Option("--environments", help="Folder of environments.")]
Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="How problems are printed: for people, as JSON, as SARIF 2.1.0, or as GitHub annotations.",
    ),
]

Context = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig. Default: its current one."),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", help="Credentials of the cluster. Default: as kubectl finds them."
    ),
]

AGENTS = [Path("agents")]
ENVIRONMENTS = Path("environments")
