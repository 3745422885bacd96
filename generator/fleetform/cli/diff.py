"""`fleetform diff`: what differs between two environments."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetform import pipeline, targets, view
from fleetform.cli import options
from fleetform.cli.report import DRIFT, Format, reported
from fleetform.write import Changes, diff

TARGET = "manifests"


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
    specs, spaces = pipeline.read(agents), pipeline.read([environments])
    sides = [pipeline.renderable(specs, spaces, name, [TARGET])[0] for name in (first, second)]
    left, right = (
        pipeline.texts(found)[targets.folder(TARGET, name)]
        for name, found in zip((first, second), sides, strict=True)
    )
    changes = Changes()
    changes.new = {path: text for path, text in right.items() if path not in left}
    changes.stale = {path: text for path, text in left.items() if path not in right}
    changes.changed = {
        path: (left[path], text)
        for path, text in right.items()
        if path in left and left[path] != text
    }
    typer.echo("".join(diff(changes, f"{first}→{second}")), nl=False)
    _cost(sides)
    if changes:
        raise typer.Exit(DRIFT)


def _cost(sides: list[pipeline.Assembled]) -> None:
    """Print what each of two environments costs in a month, and the change, if both have prices for that."""
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415 - no help needs it

    months = []
    for found in sides:
        prices = found.fleet.environment.cost
        if found.kubernetes is None or not view.given(prices):
            return
        rows = estimate.rows(found.kubernetes.plan)
        if estimate.missing(rows, prices):
            return
        months.append(estimate.total(estimate.month(row, prices) for row in rows))
    left, right = months
    changes = sorted({f"{new - old:+.2f}" for old, new in zip(left, right, strict=True)}, key=float)
    typer.echo(
        f"USD a month: {estimate.money(left)} -> {estimate.money(right)} ({' to '.join(changes)})",
        err=True,
    )
