"""What `fleetform render` does, without how its options are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fleetform
from fleetform import pipeline
from fleetform import targets as registry
from fleetform.cli import progress
from fleetform.cli.report import DRIFT, Format, echo, reported, show
from fleetform.write import RECORD, Changes, Output, diff, write_all


@reported
def run(
    *,
    env: str,
    targets: Sequence[str] | None,
    agents: Sequence[Path],
    environments: Path,
    out: Path,
    check: bool,
    show_diff: bool,
    form: Format,
) -> None:
    """Render an environment and report what changed; raises SystemExit on problems and on drift."""
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
            echo("".join(diff(change, output.folder.as_posix())), nl=False)
        if form is Format.TEXT:
            echo(summary(change, output.folder, check=check), err=True)
    if not targets:
        _say_what_is_left(env, out, {*rendering.folders})
    if check and any(changes.values()):
        raise SystemExit(DRIFT)


def _say_what_is_left(env: str, out: Path, rendered: set[str]) -> None:
    """Warn about folders of targets that the environment no longer has: they are not updated any more."""
    for name in registry.NAMES:
        folder = registry.folder(name, env)
        if folder not in rendered and (out / folder / RECORD).is_file():
            echo(
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
