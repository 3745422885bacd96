"""`fleetform policy`: what is enforced, the rule it comes from, and which specs weaken it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetform import pipeline, policies
from fleetform.cli import options
from fleetform.cli.report import Format, reported, stop
from fleetform.problems import errors, printable


class Cloud(StrEnum):
    """Clouds whose rights are printed."""

    AWS = "aws"
    GCP = "gcp"


Row = tuple[policies.Weakening, tuple[str, ...]]
"""What weakens a policy, and in which environments."""


@reported
def command(
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    admission: Annotated[
        bool,
        typer.Option(
            "--admission",
            help="Print ValidatingAdmissionPolicies for the cluster instead, without reading specs.",
        ),
    ] = False,
    iam: Annotated[
        Cloud | None,
        typer.Option(
            "--iam",
            help="Print the rights in a cloud that --env needs instead: of stores of secrets, and of agents' models.",
            show_default=False,
        ),
    ] = None,
    adapter: Annotated[
        bool,
        typer.Option(
            "--prometheus-adapter",
            help="Print rules of prometheus-adapter instead, for autoscalers on metrics of agents.",
        ),
    ] = False,
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            "-e",
            help="Only what is weakened in this environment. Default: in any.",
            show_default=False,
        ),
    ] = None,
    form: options.Form = Format.TEXT,
) -> None:
    """Print what is enforced, and the rule it comes from.

    Each policy is listed with the codes of the problems that enforce it and its source; then follow
    the places of specs and environments that weaken a policy, with the environments where they do.

    Examples:

      fleetform policy --env prod

      fleetform policy --format json | jq -r '.weakened[].path'

      fleetform policy --admission | kubectl apply --server-side -f -

      fleetform policy --env prod --iam aws | jq '."arn:aws:iam::123456789012:role/agents"'
    """
    if admission or adapter:
        typer.echo(_admission() if admission else _adapter(), nl=False)
        return
    if iam is not None:
        typer.echo(_rights(iam, env or options.ENV, agents, environments))
        return
    specs = pipeline.read(agents)
    spaces = pipeline.read([environments] if environments.exists() else [])
    problems = [*specs.problems, *spaces.problems]
    if errors(problems):
        stop(problems, form)
    names = [env] if env else pipeline.concrete(spaces)
    found: dict[policies.Weakening, list[str]] = {}
    for name in names:
        fleet, problems = pipeline.fleet_of(specs, spaces, name, str(environments))
        if fleet is None or errors(problems):
            stop(problems, form)
        for use in dict.fromkeys(policies.weakenings(fleet)):
            found.setdefault(use, []).append(name)
    if not names:  # without an environment there are only the specs
        trees = [document.tree for document in specs.documents]
        found = {use: [] for tree in trees for use in policies.weakened(tree)}
    weakened = sorted((use, tuple(where)) for use, where in found.items())
    typer.echo(_json(weakened) if form is Format.JSON else _text(weakened))


def _admission() -> str:
    from fleetform.emit import emit_all  # noqa: PLC0415
    from fleetform.platforms.kubernetes.objects import admission  # noqa: PLC0415

    return emit_all(list(admission.build()))


def _adapter() -> str:
    from fleetform.emit import emit  # noqa: PLC0415
    from fleetform.platforms.kubernetes import adapter  # noqa: PLC0415

    return emit(adapter.rules())


def _rights(cloud: Cloud, env: str, agents: list[Path], environments: Path) -> str:
    from fleetform.platforms.kubernetes import iam  # noqa: PLC0415

    fleet, plan = pipeline.planned(agents, environments, env)
    found: object = iam.aws(fleet, plan) if cloud is Cloud.AWS else iam.gcp(fleet, plan)
    return json.dumps(found, indent=2, ensure_ascii=False)


def _json(weakened: list[Row]) -> str:
    body = {
        "policies": [item._asdict() for item in policies.POLICIES],
        "weakened": [{**use._asdict(), "environments": list(where)} for use, where in weakened],
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def _text(weakened: list[Row]) -> str:
    lines = []
    for item in policies.POLICIES:
        codes = f" ({', '.join(item.codes)})" if item.codes else ""
        lines += [f"{item.name}: {item.says}", f"  {item.kept}{codes}; source: {item.source}"]
    lines += ["", f"{len(weakened)} weakened:" if weakened else "nothing weakened"]
    for use, where in weakened:
        lines += [f"{use.file}:{use.line}: {use.path}", f"  {use.says}"]
        lines += [f"  in {', '.join(where)}"] if where else []
    return "\n".join(printable(line) for line in lines)
