"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform.cli import plain
from fleetform.cli.report import Format

ENV = plain.ENV
Env = Annotated[str, typer.Option("--env", "-e", envvar="ENV", help="Name of the environment.")]
Agents = Annotated[
    list[Path],
    typer.Option("--agents", "-a", help="Folder or file of specs; may be repeated."),
]
Environments = Annotated[Path, typer.Option("--environments", help="Folder of environments.")]
Form = Annotated[
    Format,
    typer.Option(
        "--format",
        help="Format of problems: text, JSON, SARIF 2.1.0 or GitHub annotations.",
    ),
]

Context = Annotated[
    str | None,
    typer.Option("--context", help="Kubeconfig context. Default: the current one."),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option("--kubeconfig", help="Path of the kubeconfig. Default: as for kubectl."),
]

AGENTS = [Path("agents")]
ENVIRONMENTS = Path("environments")
