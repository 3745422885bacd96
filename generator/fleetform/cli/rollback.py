"""`fleetform rollback`: an earlier revision of a workload, out of Git's history, as a hold that every render keeps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from fleetform.cli import options, rendering
from fleetform.cli.report import Format, echo, reported
from fleetform.lazy import regex
from fleetform.problems import Problem, SpecError
from fleetform.releases import holds, lock
from fleetform.releases.history import Repository, Revision
from fleetform.releases.holds import Hold
from fleetform.releases.lock import FOLDER, Entry, sha
from fleetform.write import Output

_BASE = regex(r'^- "?(?:\.\./)+base/([^"\n]+)"?$', re.MULTILINE)
"""How an overlay names what it builds on."""
LISTED = 20


@reported
def command(
    workload: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="Agent/NAME, or KIND/NAMESPACE/NAME as in releases/ENV.lock.yaml.",
            show_default=False,
        ),
    ],
    env: options.Env = options.ENV,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="REVISION",
            help="Revision, as at the end of its ConfigMap's name. Default: the one before the current one.",
            show_default=False,
        ),
    ] = None,
    because: Annotated[
        str, typer.Option("--because", help="Why, for whoever reads the hold.", show_default=False)
    ] = "",
    release: Annotated[
        bool, typer.Option("--release", help="End the hold: the output is the spec's again.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Only list the revisions that are known.")
    ] = False,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder, as for render.")
    ] = Path(),
    form: options.Form = Format.TEXT,
) -> None:
    """Bring back an earlier revision of a workload, and keep it until it is released.

    The revisions are those in the history of OUT/releases/ENV.lock.yaml in Git. The files of the revision
    are taken from its commit byte for byte, compared with the hashes that the lock had there, and
    written to OUT/releases/ENV.holds.yaml; then the environment is rendered. Every render keeps a held
    workload as it was, and warns of it, whatever its spec says and whichever version of Fleetform
    renders. Nothing touches the cluster: commit what changed, as with any other change.

    Examples:

      fleetform rollback Agent/support --env prod

      fleetform rollback Agent/support --env prod --to 7adf2f6a --because "answers in Latin"

      fleetform rollback Agent/support --env prod --release
    """
    now = _now(out, env)
    held = {hold.workload: hold for hold in holds.read(out, env)}
    title = _found(workload, now, held, out, env)
    if listed:
        _list(out, env, title)
        return
    if release:
        if held.pop(title, None) is None:
            raise SpecError(
                [_problem("not-held", f"{title} is not held", out, env, "nothing to do")]
            )
    else:
        revision, texts = _chosen(Repository(out), env, title, to, now.get(title))
        held[title] = Hold(title, revision.commit, because, revision.entry, texts)
    _write(out, env, held)
    rendering.run(
        env=env,
        everything=False,
        targets=None,
        agents=agents,
        environments=environments,
        out=out,
        check=False,
        show_diff=False,
        form=form,
    )


def _now(out: Path, env: str) -> dict[str, Entry]:
    file = out / FOLDER / lock.name(env)
    try:
        return lock.read(file.read_bytes())
    except (OSError, ValueError):
        what = f"{file} is not there" if not file.exists() else f"{file} cannot be read"
        raise SpecError(
            [
                _problem(
                    "no-lock", what, out, env, f"run `fleetform render --env {env}` and commit it"
                )
            ]
        ) from None


def _found(workload: str, now: dict[str, Entry], held: dict[str, Hold], out: Path, env: str) -> str:
    """Return the whole title of a workload."""
    kind, _, rest = workload.partition("/")
    found = sorted(
        {
            title
            for title in (*now, *held)
            if title == workload or (title.startswith(f"{kind}/") and title.split("/")[2] == rest)
        }
    )
    if len(found) == 1:
        return found[0]
    if found:
        what, hint = f"several namespaces have `{workload}`", f"name one: {', '.join(found)}"
    else:
        what = f"`{workload}` is no workload of {env}"
        hint = f"workloads: {', '.join([*now][:LISTED]) or 'none'}"
        if not now and (out / holds.compose(env)).is_dir():
            what = f"{env} is rendered for Compose alone, whose file has all services: a part of it has no revisions"
            hint = f"`{holds.earlier(env, 'COMMIT', 'NAME.NAMESPACE')}` starts one service as a commit has it"
    raise SpecError([_problem("unknown-workload", what, out, env, hint)])


def _chosen(
    repository: Repository, env: str, title: str, to: str | None, current: Entry | None
) -> tuple[Revision, dict[str, str]]:
    """Return the revision to go back to, and its files."""
    seen: list[str] = []
    for revision in repository.revisions(env, title):
        entry = revision.entry
        seen.append(entry.revision)
        if entry == current or (to is not None and entry.revision != to):
            continue
        return _complete(repository, revision, title)
    if to is None:
        what, hint = (
            f"the history has no earlier revision of {title}",
            "what was never committed cannot come back",
        )
    else:
        what = f"the history has no other revision `{to}` of {title}"
        hint = f"revisions, newest first: {', '.join(dict.fromkeys(seen)) or 'none'}"
    raise SpecError([Problem("error", "unknown-revision", what, hint=hint)])


def _complete(
    repository: Repository, revision: Revision, title: str
) -> tuple[Revision, dict[str, str]]:
    """Return the files of a revision as they were, and the revision with what an overlay builds on among them."""
    texts = {}
    for path, digest in revision.entry.files.items():
        data = repository.blob(revision.commit, path)
        texts[path] = data.decode("utf-8", "surrogateescape")
        if sha(texts[path]) != digest:
            what = f"`{path}` of {title} in commit {revision.commit[:12]} is not what the lock there says"
            hint = "somebody changed it after it was rendered: go back to another revision"
            raise SpecError([Problem("error", "bad-revision", what, hint=hint)])
    whole = _with_bases(repository, revision.commit, texts)
    entry = revision.entry._replace(files={path: sha(text) for path, text in sorted(whole.items())})
    return revision._replace(entry=entry), whole


def _with_bases(repository: Repository, commit: str, texts: dict[str, str]) -> dict[str, str]:
    """Let each overlay bring what it built on, which others change in the meantime."""
    made = dict(texts)
    for path, text in texts.items():
        folder, _, name = path.rpartition("/")
        found = _BASE.search(text)
        if name != "kustomization.yaml" or found is None:
            continue
        base = f"kustomize/base/{found[1]}"
        for file in repository.below(commit, base):
            made[f"{folder}/base{file.removeprefix(base)}"] = repository.blob(commit, file).decode()
        made[path] = text[: found.start()] + "- base" + text[found.end() :]
    return made


def _write(out: Path, env: str, held: dict[str, Hold]) -> None:
    file = holds.path(out, env)
    own = {file.name: holds.text(env, held.values())} if held else {}
    output = Output(out, FOLDER)
    output.write({**output.others({file.name}), **own})


def _list(out: Path, env: str, title: str) -> None:
    for revision in Repository(out).revisions(env, title):
        entry = revision.entry
        echo(f"{entry.revision}  {revision.date}  {revision.commit[:12]}  {' '.join(entry.images)}")


def _problem(code: str, what: str, out: Path, env: str, hint: str) -> Problem:
    return Problem("error", code, what, (out / FOLDER / lock.name(env)).as_posix(), hint=hint)
