"""`fleetform policy`: what is enforced, the rule it comes from, and which specs weaken it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fleetform import pipeline, policies
from fleetform.cli import options
from fleetform.cli.report import Format, reported, stop
from fleetform.problems import errors


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
    form: options.Form = Format.TEXT,
) -> None:
    """Print what is enforced, and the rule it comes from.

    Each policy is listed with the codes of the problems that enforce it and its source; then follow
    the fields of specs that weaken a policy, with their positions.

    Examples:

      fleetform policy

      fleetform policy --format json | jq -r '.weakened[].path'

      fleetform policy --admission | kubectl apply --server-side -f -
    """
    if admission:
        typer.echo(_admission(), nl=False)
        return
    specs = pipeline.read(agents)
    spaces = pipeline.read([environments] if environments.exists() else [])
    problems = [*specs.problems, *spaces.problems]
    if errors(problems):
        stop(problems, form)
    trees = [document.tree for document in (*specs.documents, *spaces.documents)]
    weakened = sorted(policies.weakenings(trees))
    typer.echo(_json(weakened) if form is Format.JSON else _text(weakened))


def _admission() -> str:
    from fleetform.emit import emit_all  # noqa: PLC0415
    from fleetform.platforms.kubernetes.objects import admission  # noqa: PLC0415

    return emit_all(list(admission.build()))


def _json(weakened: list[policies.Weakening]) -> str:
    body = {
        "policies": [item._asdict() for item in policies.POLICIES],
        "weakened": [item._asdict() for item in weakened],
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def _text(weakened: list[policies.Weakening]) -> str:
    lines = []
    for item in policies.POLICIES:
        codes = f" ({', '.join(item.codes)})" if item.codes else ""
        lines += [f"{item.name}: {item.says}", f"  {item.kept}{codes}; source: {item.source}"]
    lines += ["", f"{len(weakened)} weakened:" if weakened else "nothing weakened"]
    for use in weakened:
        lines += [f"{use.file}:{use.line}: {use.path}", f"  {use.says}"]
    return "\n".join(lines)
