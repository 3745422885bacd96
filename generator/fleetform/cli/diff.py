"""`fleetform diff`: what differs between two environments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline, targets
from fleetform.cli import options
from fleetform.cli.report import DRIFT, Format, reported
from fleetform.write import Changes, diff


@reported
def command(
    first: Annotated[str, typer.Argument(metavar="ENV_A", help="Environment on the left.")],
    second: Annotated[str, typer.Argument(metavar="ENV_B", help="Environment on the right.")],
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """Show what differs between two environments.

    Both are rendered in memory; exits with 3 if anything differs.

    Examples:

      fleetform diff staging prod

      fleetform diff dev prod | less
    """
    del form
    left = _texts(agents, environments, first)
    right = _texts(agents, environments, second)
    changes = Changes()
    changes.new = {path: text for path, text in right.items() if path not in left}
    changes.stale = {path: text for path, text in left.items() if path not in right}
    changes.changed = {
        path: (left[path], text)
        for path, text in right.items()
        if path in left and left[path] != text
    }
    typer.echo("".join(diff(changes, f"{first}→{second}")), nl=False)
    if changes:
        raise typer.Exit(DRIFT)


def _texts(agents: list[Path], environments: Path, name: str) -> dict[str, str]:
    folders = pipeline.render(agents, environments, name, ["manifests"]).folders
    return folders[targets.folder("manifests", name)]
