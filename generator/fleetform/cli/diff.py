"""`fleetform diff`: what differs between two environments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline, targets, view
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

    Both are rendered in memory; exits with 3 if anything differs. Where the environments say what nodes
    cost, the last line says by how much the estimate of a month differs.

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
    _cost(agents, environments, first, second)
    if changes:
        raise typer.Exit(DRIFT)


def _texts(agents: list[Path], environments: Path, name: str) -> dict[str, str]:
    folders = pipeline.render(agents, environments, name, ["manifests"]).folders
    return folders[targets.folder("manifests", name)]


def _cost(agents: list[Path], environments: Path, *names: str) -> None:
    """Print what each of two environments costs in a month, and the change, if both have prices for that."""
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415 - no help needs it

    months = []
    for name in names:
        fleet, plan = pipeline.planned(agents, environments, name)
        rows, prices = estimate.rows(plan), fleet.environment.cost
        if not view.given(prices) or estimate.missing(rows, prices):
            return
        months.append(estimate.total(estimate.month(row, prices) for row in rows))
    left, right = months
    changes = sorted({f"{new - old:+.2f}" for old, new in zip(left, right, strict=True)}, key=float)
    typer.echo(
        f"USD a month: {estimate.money(left)} -> {estimate.money(right)} ({' to '.join(changes)})",
        err=True,
    )
