"""`fleetform render`: specs and an environment → manifests, chart values, overlays."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import fleetform
from fleetform import pipeline
from fleetform import targets as registry
from fleetform.cli import options, progress
from fleetform.cli.report import DRIFT, Format, reported, show
from fleetform.write import RECORD, Changes, Output, diff, write_all

Target = StrEnum("Target", {name.upper(): name for name in registry.NAMES})  # type: ignore[misc]
"""What `render` can write; an environment's `targets` are of these."""


@reported
def command(
    env: options.Env = "prod",
    targets: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            "-t",
            help="Target to write; may be repeated. Default: the environment's `targets`.",
            show_default=False,
        ),
    ] = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Output folder; each target gets its own folder in it."),
    ] = Path(),
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; print differences, and exit with 3 if there are any.",
        ),
    ] = False,
    show_diff: Annotated[
        bool, typer.Option("--diff", help="Print a unified diff of the changes while writing.")
    ] = False,
    form: options.Form = Format.TEXT,
) -> None:
    """Render an environment.

    The target `manifests` writes OUT/rendered/ENV/: _namespaces/, a file per workload in
    NAMESPACE/, the namespace's shared objects in _namespace.yaml, and kustomization.yaml files.
    `kustomize` writes OUT/kustomize/overlays/ENV/, and OUT/kustomize/base/ if its root changed;
    `flux` and `argocd` write the objects for these tools to OUT/flux/ENV/ and OUT/argocd/ENV/. Only
    files that differ are written; files that are no longer rendered are removed; other people's
    files are never touched. If the input has any error, nothing is written.

    Examples:

      fleetform render --env prod

      fleetform render --env staging --diff

      fleetform render --env prod --target manifests --check --format github
    """
    with progress.bar(f"rendering {env}"):
        rendering = pipeline.render(agents, environments, env, [*(targets or ())])
        outputs = {
            Output(out, folder, fleetform.__version__): texts
            for folder, texts in rendering.folders.items()
        }
        changes = (
            {output: output.compare(texts) for output, texts in outputs.items()}
            if check
            else write_all(outputs)
        )
    show(rendering.problems, form)
    for output, change in changes.items():
        if (check or show_diff) and change:
            typer.echo("".join(diff(change, output.folder.as_posix())), nl=False)
        if form is Format.TEXT:
            typer.echo(summary(change, output.folder, check=check), err=True)
    if not targets:
        _say_what_is_left(env, out, {*rendering.folders})
    if check and any(changes.values()):
        raise typer.Exit(DRIFT)


def _say_what_is_left(env: str, out: Path, rendered: set[str]) -> None:
    """Warn about folders of targets that the environment no longer has: they are not updated any more."""
    for name in registry.NAMES:
        folder = registry.folder(name, env)
        if folder not in rendered and (out / folder / RECORD).is_file():
            typer.echo(
                f"warning: {(out / folder).as_posix()} belongs to a target that `{env}` no longer has\n"
                f"  hint: delete the folder, or add `{name}` to its targets again",
                err=True,
            )


def summary(changes: Changes, folder: Path, *, check: bool) -> str:
    """Return a one-line summary of what a run did, or would do."""
    rows = (
        (len(changes.new), "new"),
        (len(changes.changed), "changed"),
        (len(changes.stale), "removed"),
        (changes.same, "unchanged"),
    )
    said = ", ".join(f"{count} {word}" for count, word in rows if count) or "nothing to render"
    if check:
        verdict = "is stale: run `fleetform render`" if changes else "is up to date"
        return f"{folder} {verdict} ({said})"
    return f"{folder}: {said}"
