"""`fleetform usage`: tokens and dollars of agents, from a Prometheus."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline, usage
from fleetform.cli import laptop, options, tables
from fleetform.cli.report import reported
from fleetform.problems import printable

_BAR = 40
"""Characters of the longest bar."""


class Form(StrEnum):
    """What is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PLOT = "plot"


def _dimensions(value: str) -> str:
    """Refuse what nothing can be summed by, and what is named twice."""
    names = _names(value)
    for name in names:
        if name not in usage.DIMENSIONS:
            known = ", ".join(_option(one) for one in usage.DIMENSIONS)
            raise typer.BadParameter(f"{name[:80]!a} is none of {known}")
        if names.count(name) > 1:
            raise typer.BadParameter(f"{_option(name)} is named twice")
    return value


def _names(value: str) -> list[str]:
    return [name.strip().replace("-", "_") for name in value.split(",")]


def _option(name: str) -> str:
    return name.replace("_", "-")


@reported
def command(
    env: options.Env = options.ENV,
    days: Annotated[
        int, typer.Option("--days", min=1, max=400, help="Days in UTC, today included.")
    ] = 7,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="NAMES",
            callback=_dimensions,
            help="What is summed by: some of day, namespace, team, cost-center, agent, model.",
        ),
    ] = "namespace,agent,model",
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            metavar="URL",
            help="Prometheus, as this machine reaches it. Default: the environment's `monitoring.prometheusUrl`.",
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="What is printed.")] = Form.TABLE,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Say what the agents of an environment used, and what their models cost.

    Tokens and US dollars are those of the runtime's metrics; `team` and `cost-center` are labels of the
    agents (docs/cost.md). Dollars come from the prices in force when the tokens were used. Models without
    a price have tokens and no dollars: they are named on standard error. $PROMETHEUS_TOKEN is sent as a
    bearer token, if it is set.

    Examples:

      fleetform usage --env prod --days 30 --by team,model

      fleetform usage --env prod --by day --format plot --prometheus http://127.0.0.1:9090
    """
    url, namespaces = _asked(prometheus, agents, environments, env)
    names = _names(by)
    server = usage.Prometheus(url, os.environ.get("PROMETHEUS_TOKEN", ""))
    try:
        found = usage.measured(server, namespaces, datetime.now(UTC), days)
    except usage.PrometheusError as error:
        laptop.refuse(printable(str(error)), error.hint)
    rows = usage.summed(found, names)
    if form is Form.JSON:
        typer.echo(_json(names, rows))
    elif form is Form.CSV:
        typer.echo(_csv(names, rows))
    elif form is Form.PLOT:
        typer.echo(_plot(rows))
    else:
        typer.echo(_table(names, rows))
    if form is not Form.JSON:
        _told(found)


def _asked(
    prometheus: str | None, agents: list[Path], environments: Path, env: str
) -> tuple[str, list[str]]:
    """Return the Prometheus, and the namespaces in the cluster that it is asked about."""
    fleet, plan = pipeline.planned(agents, environments, env)
    url = prometheus or fleet.environment.monitoring.prometheus_url
    if not url:
        laptop.refuse(
            f"no Prometheus is known for {env}",
            "name it with --prometheus, or set the environment's `monitoring.prometheusUrl`",
        )
    if not url.startswith(("http://", "https://")):
        laptop.refuse(
            f"`{printable(url[:80])}` is no URL of a Prometheus",
            "it begins with http:// or https://",
        )
    return url, list(plan.spaces)


def _cells(use: usage.Use) -> tuple[str, ...]:
    partly = "" if not use.unpriced else ("?" if not use.usd else "+?")
    dollars = f"{use.usd:.2f}" if use.usd or not use.unpriced else ""
    return f"{use.input:.0f}", f"{use.output:.0f}", f"{dollars}{partly}"


def _table(names: Sequence[str], rows: dict[tuple[str, ...], usage.Use]) -> str:
    titles = (*(_option(name).upper() for name in names), "INPUT", "OUTPUT", "USD")
    lines = [(*(part or "-" for part in key), *_cells(use)) for key, use in rows.items()]
    whole = usage.Use()
    for use in rows.values():
        whole = whole.plus(use)
    lines.append(("total", *("" for _ in names[1:]), *_cells(whole)))
    return tables.table(titles, lines, 3)


def _csv(names: Sequence[str], rows: dict[tuple[str, ...], usage.Use]) -> str:
    titles = (*names, "input_tokens", "output_tokens", "usd", "tokens_without_price")
    return tables.as_csv(titles, [(*key, *_numbers(use)) for key, use in rows.items()])


def _json(names: Sequence[str], rows: dict[tuple[str, ...], usage.Use]) -> str:
    numbers = ("input_tokens", "output_tokens", "usd", "tokens_without_price")
    body = [
        {**dict(zip(names, key, strict=True)), **dict(zip(numbers, _numbers(use), strict=True))}
        for key, use in rows.items()
    ]
    return json.dumps(body, indent=2, ensure_ascii=False)


def _numbers(use: usage.Use) -> tuple[float | None, ...]:
    """Return the numbers of a row; dollars are None where no model of it has a price."""
    usd = None if use.unpriced and not use.usd else round(use.usd, 6)
    return round(use.input), round(use.output), usd, round(use.unpriced)


def _plot(rows: dict[tuple[str, ...], usage.Use]) -> str:
    """Return a bar for the dollars of each row."""
    names = [printable(" / ".join(part or "-" for part in key)) for key in rows]
    most = max((use.usd for use in rows.values()), default=0)
    width = max((len(name) for name in names), default=0)
    lines = []
    for name, use in zip(names, rows.values(), strict=True):
        bar = "█" * (round(use.usd / most * _BAR) if most else 0)
        lines.append(f"{name.ljust(width)}  {bar.ljust(_BAR)}  {_cells(use)[2]:>10}".rstrip())
    return "\n".join(lines)


def _told(found: dict[usage.Key, usage.Use]) -> None:
    """Name what has no price on standard error."""
    if not found:
        typer.echo("no agent has used a model in these days", err=True)
    unpriced = sorted(
        {(key.namespace, key.agent, key.model) for key, use in found.items() if use.unpriced}
    )
    for namespace, agent, model in unpriced:
        typer.echo(
            printable(f"no price: {namespace}/{agent} {model}; set the model's `pricing`"), err=True
        )
