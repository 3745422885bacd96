"""`fleetform estimate`: what an environment's pods and claims cost in a month."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fleetform import pipeline
from fleetform.cli import options, tables
from fleetform.cli.report import reported

if TYPE_CHECKING:
    from fleetform.models.environment import Cost
    from fleetform.platforms.kubernetes.estimate import Row

TITLES = ("NAMESPACE", "WORKLOAD", "REPLICAS", "CPU", "MEMORY GIB", "STORAGE GIB", "USD/MONTH")


@reported
def command(
    env: options.Env = options.ENV,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    form: Annotated[
        tables.Form, typer.Option("--format", help="What is printed.")
    ] = tables.Form.TABLE,
) -> None:
    """Say what an environment's pods and claims cost in a month, before they run.

    What each pod asks for, times 730 hours and the prices in the environment's `cost`, with the fewest
    and with the most replicas. Jobs are left out, for nobody knows how long they run; so is what models
    cost, which `fleetform usage` measures. `fleetform diff` prints what the total changes by.

    Examples:

      fleetform estimate --env prod

      fleetform estimate --env prod --format json | jq .total
    """
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415 - no help needs it

    fleet, plan = pipeline.planned(agents, environments, env)
    prices = fleet.environment.cost
    found = estimate.rows(plan)
    if form is tables.Form.JSON:
        typer.echo(_json(found, prices, estimate.jobs(plan)))
        return
    if form is tables.Form.CSV:
        typer.echo(_csv(found, prices))
        return
    typer.echo(tables.table(TITLES, [*estimate.lines(found, prices)], 5))
    typer.echo(f"total: {_text(found, prices)}")
    if jobs := estimate.jobs(plan):
        typer.echo(f"{jobs} {'Job is' if jobs == 1 else 'Jobs are'} not in it", err=True)


def _text(found: list[Row], prices: Cost) -> str:
    """Return the sum of rows for people, or which prices it needs."""
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415

    lacking = estimate.missing(found, prices)
    if lacking:
        return f"unknown; set the environment's {', '.join(f'`cost.{name}`' for name in lacking)}"
    return f"{estimate.money(estimate.total(estimate.month(row, prices) for row in found))} USD a month"


def _csv(found: list[Row], prices: Cost) -> str:
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415

    known = not estimate.missing(found, prices)
    titles = (
        *("namespace", "workload", "least_replicas", "most_replicas", "cpu", "memory_gib"),
        *("storage_gib", "least_usd", "most_usd"),
    )
    months = (estimate.month(row, prices) for row in found)
    rows = [
        (*row, *(_rounded(one).values() if known else ("", "")))
        for row, one in zip(found, months, strict=True)
    ]
    return tables.as_csv(titles, rows)


def _json(found: list[Row], prices: Cost, jobs: int) -> str:
    from fleetform.platforms.kubernetes import estimate  # noqa: PLC0415

    known = not estimate.missing(found, prices)
    months = [estimate.month(row, prices) for row in found]
    body = {
        "rows": [
            {**row._asdict(), "usd": _rounded(one) if known else None}
            for row, one in zip(found, months, strict=True)
        ],
        "total": _rounded(estimate.total(months)) if known else None,
        "missing": estimate.missing(found, prices),
        "jobs": jobs,
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def _rounded(month: tuple[float, float]) -> dict[str, float]:
    return {"least": round(month[0], 2), "most": round(month[1], 2)}
