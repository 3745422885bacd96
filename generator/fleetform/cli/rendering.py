"""What `fleetform render` does, without how its options are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fleetform import charts, pipeline
from fleetform import targets as registry
from fleetform.cli import progress
from fleetform.cli.report import DRIFT, Format, echo, reported, show
from fleetform.problems import Problem, refuse
from fleetform.releases import holds, lock
from fleetform.releases.holds import Hold
from fleetform.releases.lock import FOLDER
from fleetform.write import Changes, Output, diff, is_ours, write_all


@reported
def run(
    *,
    env: str,
    everything: bool,
    targets: Sequence[str] | None,
    agents: Sequence[Path],
    environments: Path,
    out: Path,
    check: bool,
    show_diff: bool,
    form: Format,
) -> None:
    """Render an environment, or all of them, and report what changed.

    Raises SystemExit on problems and on drift.
    """
    with progress.bar(f"rendering {'all' if everything else env}"):
        made = pipeline.render_all(
            agents, environments, [] if everything else [env], [*(targets or ())]
        )
        renderings = [*made.values()]
        held = {name: holds.read(out, name) for name in made}
        folders: dict[str, Mapping[str, str]] = {}
        for name, rendering in made.items():
            folders |= (
                holds.kept(rendering.folders, held[name]) if held[name] else rendering.folders
            )
        outputs = {Output(out, folder): texts for folder, texts in folders.items()}
        holding = [
            problem for name in made for problem in _holding(out, name, made[name], held[name])
        ]
        refuse(holding)
        if not targets:
            releases = Output(out, FOLDER)
            outputs[releases] = _releases(releases, out, made, held, folders, everything=everything)
        left = [] if targets else [*_left(made, renderings[0].environments, out, {*folders})]
        gone = {Output(out, folder): why for folder, why in left} if everything else {}
        changes = (
            {output: output.compare(texts) for output, texts in outputs.items()}
            | {output: output.compare({}) for output in gone}
            if check
            else write_all(outputs) | {output: output.clear() for output in gone}
        )
    found = {output.path: change for output, change in changes.items() if change}
    show([*(p for r in renderings for p in r.problems), *holding, *_asked(found)], form)
    command = "fleetform render --all" if everything else f"fleetform render --env {env}"
    for output, change in changes.items():
        if (check or show_diff) and change:
            echo("".join(diff(change, output.folder.as_posix())), nl=False)
        if form is Format.TEXT:
            said = summary(change, output.folder, command if check else "")
            echo(f"{said}: {gone[output]}" if output in gone else said, err=True)
    if not everything:
        for folder, why in left:
            echo(
                f"warning: {(out / folder).as_posix()} is not updated any more: {why}\n"
                "  hint: delete it, or run `fleetform render --all`, which removes what Fleetform wrote there",
                err=True,
            )
    for folder in sorted({r.charts for r in renderings}):
        warn_of_missing_charts(folder, out)
    if check and (gone or any(changes.values())):
        raise SystemExit(DRIFT)


def _holding(
    out: Path, name: str, rendering: pipeline.Rendering, held: Sequence[Hold]
) -> Iterator[Problem]:
    """Yield what is held against the specs."""
    if held:
        now = rendering.lock(rendering.folders)
        file = holds.path(out, name)
        yield from holds.problems(file, held, now, name)
        if holds.compose(name) in rendering.folders:
            yield from holds.passed_by(file, held, now, name)


def _releases(
    output: Output,
    out: Path,
    made: Mapping[str, pipeline.Rendering],
    held: Mapping[str, Sequence[Hold]],
    folders: Mapping[str, Mapping[str, str]],
    *,
    everything: bool,
) -> dict[str, str]:
    """Return the texts below releases/: the locks of what was rendered, and whatever else is there of environments."""
    texts = {}
    for name, rendering in made.items():
        entries = rendering.lock({f: folders[f] for f in rendering.folders})
        entries |= {h.workload: h.entry for h in held[name] if h.workload in entries}
        texts[lock.name(name)] = lock.text(name, entries)
    known = {name for r in made.values() for name in r.environments}
    for path, text in output.others(texts).items():
        if not everything or path.partition(".")[0] in known:
            texts[path] = text
    return dict(sorted(texts.items()))


def _asked(changes: Mapping[str, Changes]) -> list[Problem]:
    """Return what changed that a cluster will not do."""
    folders = {path: change.sides() for path, change in changes.items()}
    if not any(before for before, _ in folders.values()):
        return []
    from fleetform.platforms.kubernetes import lifelong  # noqa: PLC0415 - only when output is replaced

    return [*lifelong.warnings(folders)]


def warn_of_missing_charts(folder: str, out: Path) -> None:
    """Warn if charts that values are rendered for are neither here nor in the output; none or a registry's never are."""
    if not folder or folder.startswith("oci://"):
        return
    if charts.missing(out / folder) and charts.missing(Path(folder)):
        echo(
            f"warning: the charts that values are rendered for are not in {folder}\n"
            f"  hint: run `fleetform charts{'' if folder == 'charts' else f' {folder}'}`, "
            "or set `helm.charts` to an OCI repository that has them",
            err=True,
        )


def _left(
    names: Collection[str], known: frozenset[str], out: Path, rendered: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield folders that Fleetform wrote and writes no more, and why: the environment or its target is gone."""
    for target in registry.TARGETS:
        parent = target.folder.format("").rstrip("/")
        for name in sorted(path.name for path in (out / parent).glob("*") if is_ours(path)):
            folder = target.folder.format(name)
            if name not in known:
                yield folder, f"there is no environment `{name}`"
            elif name in names and folder not in rendered:
                yield folder, f"`{name}` has no target `{target.name}`"


def summary(changes: Changes, folder: Path, command: str) -> str:
    """Return a one-line summary of what a run did, or of what `command` would do."""
    rows = (
        (len(changes.new), "new"),
        (len(changes.changed), "changed"),
        (len(changes.stale), "removed"),
        (changes.same, "unchanged"),
    )
    said = ", ".join(f"{count} {word}" for count, word in rows if count) or "nothing to render"
    if command:
        verdict = f"is stale: run `{command}`" if changes else "is up to date"
        return f"{folder} {verdict} ({said})"
    return f"{folder}: {said}"
