"""`fleetform explain`: each final value of a spec, where it was set, and what it overrode."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, NoReturn

import typer

from fleetform import pipeline
from fleetform.cli import options
from fleetform.cli.report import PROBLEMS, USAGE, Format, reported, stop
from fleetform.explain import Entry, Setting, entries, image, matches, patched
from fleetform.kinds import NAMES, WORKLOADS
from fleetform.problems import did_you_mean
from fleetform.tree import plain

IMAGE = "image"
"""The field of every workload that no spec has: what its main container runs."""


@reported
def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="Kind and name, such as Agent/support or Agent/ai-agents/support.",
        ),
    ],
    field: Annotated[
        str,
        typer.Argument(
            metavar="[FIELD.PATH]",
            help="Only this field and its subfields, such as spec.scaling or tools[search].",
            show_default=False,
        ),
    ] = "",
    env: options.Env = options.ENV,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list instead of text.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Explain where the values of a spec were set.

    Each value is shown with the file and line that set it, and below it the values that it
    overrode: built-in defaults < the environment's defaults < templates in order of `extends` < the
    spec < the environment's patches.

    Fields that object patches changed in the spec's objects follow as KIND/NAME.FIELD. `image` is
    the image that runs, with everything that makes it up.

    Examples:

      fleetform explain Agent/customer-support-agent --env prod

      fleetform explain Agent/customer-support-agent scaling.maxReplicas --env staging

      fleetform explain Agent/customer-support-agent image --env prod

      fleetform explain Environment/prod spec.images --env prod
    """
    specs, spaces = pipeline.read(agents), pipeline.read([environments])
    found = [*_entries(what, field, env, specs, spaces, str(environments), form)]
    whole = not field or (found and found[0].path == IMAGE)
    chosen = [entry for entry in found if whole or matches(entry, field)]
    if not chosen:
        paths = [part for entry in found for part in _prefixes(entry.path)]
        wanted = field if field.startswith("spec") else f"spec.{field}"
        _refuse(
            f"{what} has no field `{field}` in {env}",
            did_you_mean(wanted, paths, noun="fields"),
            PROBLEMS,
        )
    if as_json:
        typer.echo(
            json.dumps(
                [asdict(entry) for entry in chosen], indent=2, ensure_ascii=False, default=plain
            )
        )
    else:
        for entry in chosen:
            typer.echo(_text(entry))


def _entries(
    what: str,
    field: str,
    env: str,
    specs: pipeline.Sources,
    spaces: pipeline.Sources,
    folder: str,
    form: Format,
) -> Any:
    kind, _, name = what.partition("/")
    kind = next((known for known in NAMES if known.lower() == kind.lower()), kind)
    if not name:
        _refuse(
            f"`{what}` is not of the form KIND/NAME",
            "write kind and name, such as Agent/support",
            USAGE,
        )
    if kind not in NAMES:
        _refuse(f"there is no kind `{kind}`", did_you_mean(kind, NAMES, noun="kinds"), USAGE)
    if kind == "Environment":
        typed, layers = pipeline.environment_of(spaces, name, folder)
        return entries(typed, layers)
    fleet, problems = pipeline.fleet_of(specs, spaces, env, folder)
    space, slash, short = name.rpartition("/")
    known = fleet.specs.get(kind, {}) if fleet else {}
    found = [
        item
        for key, item in sorted(known.items())
        if key[1] == short and (not slash or key[0] == space)
    ]
    if len(found) == 1 and fleet:
        own = entries(found[0].typed, found[0].layers or pipeline.own_layer(found[0]))
        if field == IMAGE and kind in WORKLOADS:
            around = entries(*pipeline.environment_of(spaces, env, folder))
            made = [*image(fleet, found[0], around)]
            if not made:
                _refuse(
                    f"{what} runs no image in {env}",
                    "it is not deployed: it is only an address of something that runs elsewhere",
                    PROBLEMS,
                )
            return made
        return [*own, *patched(pipeline.patched(fleet, found[0]))]
    if problems and not found:
        stop(problems, form)
    if found:
        names = ", ".join(f"{kind}/{item.namespace}/{item.name}" for item in found)
        _refuse(f"several {kind}s are named `{short}`", f"be specific: {names}", USAGE)
    return _refuse(
        f"there is no {kind} `{name}` in {env}",
        did_you_mean(short, (key[1] for key in known), noun=f"{kind}s"),
        PROBLEMS,
    )


def _refuse(message: str, hint: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}\n  hint: {hint}", err=True)
    raise typer.Exit(code)


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _text(entry: Entry) -> str:
    lines = [f"{entry.path}: {_shown(entry.final.value)}", f"  {_where(entry.final)}"]
    lines += [f"  over {_shown(setting.value)}, {_where(setting)}" for setting in entry.overridden]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _where(setting: Setting) -> str:
    return f"{setting.file}:{setting.line} ({setting.layer})" if setting.file else setting.layer
