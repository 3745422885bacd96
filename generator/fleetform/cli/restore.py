"""`fleetform restore`: the Job that restores a store from a backup, for a person to apply."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from fleetform import pipeline
from fleetform.cli import laptop, options
from fleetform.cli.report import Format, reported, stop
from fleetform.emit import emit_all
from fleetform.problems import errors, printable
from fleetform.resolve.backups import is_planned
from fleetform.resolve.references import reachable

LATEST = "latest"


def _snapshot(value: str) -> str:
    """Refuse what is no snapshot before it becomes part of a name and of a command."""
    if value != LATEST and not re.fullmatch("[0-9a-f]{8,64}", value):
        raise typer.BadParameter(
            f"{value[:80]!a} is no snapshot: `{LATEST}`, or at least eight of the hex digits that `restic snapshots` shows"
        )
    return value


@reported
def command(
    store: Annotated[
        str,
        typer.Argument(metavar="STORE", help="Name of a MemoryStore, or NAMESPACE/NAME."),
    ],
    env: options.Env = options.ENV,
    snapshot: Annotated[
        str,
        typer.Option("--snapshot", metavar="ID", help="Which backup.", callback=_snapshot),
    ] = LATEST,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
) -> None:
    """Print the Job that restores a MemoryStore from one of its backups. It applies nothing.

    The Job is suspended: look at it, stop whoever writes to the store, apply it, and let it run. What is
    in the store under the same names is overwritten. Of files there is a Job for each agent that keeps some:
    what is in an agent's folder is replaced.

    Examples:

      fleetform restore agent-memory-redis --env prod

      fleetform restore agent-memory-redis --env prod --snapshot 4b1d2a9c > restore.yaml
    """
    from fleetform.plan.dumps import can_hand_on  # noqa: PLC0415 - no help needs it
    from fleetform.platforms.kubernetes.restore import restores  # noqa: PLC0415 - no help needs it

    found, problems = pipeline.judged(pipeline.read(agents), environments, env, [])
    if found is None or errors(problems):
        stop(problems, Format.TEXT)
    chosen = laptop.store_of(found.fleet, store, env)
    if not is_planned(found.fleet, chosen):
        laptop.refuse(
            f"MemoryStore `{printable(chosen.name)}` has no backup in {env}",
            "set `backup`, which says where its backups are",
        )
    if chosen.spec.type == "redis" and not can_hand_on(reachable(found.fleet, chosen).redis):
        laptop.refuse(
            "a Redis hands keys to another one over TLS with a client certificate only, and the store has none",
            "start a new Redis from the dump: docs/backup.md",
        )
    short = snapshot[:8] if snapshot != LATEST else LATEST
    jobs = restores(found.fleet, found.plan, chosen, short)
    typer.echo(emit_all(jobs), nl=False)
