"""`releases/ENV.holds.yaml`: workloads whose output stays that of an earlier revision, until they are released.

The bytes are in it: what `render` keeps depends on this file alone, and neither on Git nor on the version of Fleetform.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetform import written
from fleetform.emit import emit
from fleetform.problems import Problem, SpecError
from fleetform.pyyaml import yaml
from fleetform.records import NamedTuple
from fleetform.releases.lock import FOLDER, SHORT, Entry, Folders, entry_of, owner, sha

_HEADER = """\
# Written by `fleetform rollback`: `render` keeps these workloads as they were.
# `fleetform rollback KIND/NAME --env {environment} --release` ends it; do not edit.
"""


class Hold(NamedTuple):
    """A workload that stays as it was; `texts` are its files, by their paths from the output's root."""

    workload: str
    """KIND/NAMESPACE/NAME."""
    commit: str
    because: str
    entry: Entry
    texts: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """Return namespace and name."""
        _, space, short = self.workload.split("/")
        return space, short

    def objects(self) -> tuple[dict[str, Any], ...]:
        """Return the objects of its plain manifests; none if it was not rendered to any."""
        texts = (text for name, text in self.texts.items() if name.startswith("rendered/"))
        return tuple(item for text in texts for item in written.load_all(text) if item)


def path(out: Path, environment: str) -> Path:
    """Return the file with the holds of an environment."""
    return out / FOLDER / f"{environment}.holds.yaml"


def read(out: Path, environment: str) -> tuple[Hold, ...]:
    """Return the holds of an environment.

    Raises SpecError if they are not those that were written: nobody shall roll out what was in no release.
    """
    file = path(out, environment)
    try:
        body = written.load(file.read_bytes())
        found = tuple(_hold(item) for item in body["holds"])
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError([_broken(file, f"cannot be read: {type(error).__name__}")]) from None
    for hold in found:
        wrong = sorted(
            name for name, text in hold.texts.items() if sha(text) != hold.entry.files[name]
        )
        if wrong:
            what = f"`{wrong[0]}` of {hold.workload} is not what the release had"
            raise SpecError([_broken(file, what)])
    return found


def text(environment: str, found: Iterable[Hold]) -> str:
    """Return the text of a file with holds."""
    rows = [
        {
            "workload": hold.workload,
            "revision": hold.entry.revision,
            "commit": hold.commit,
            **({"because": hold.because} if hold.because else {}),
            "spec": hold.entry.spec,
            **({"config": hold.entry.config} if hold.entry.config else {}),
            "images": list(hold.entry.images),
            "files": {
                name: {"sha256": hold.entry.files[name], "text": value}
                for name, value in sorted(hold.texts.items())
            },
        }
        for hold in sorted(found)
    ]
    return _HEADER.format(environment=environment) + emit({"holds": rows})


def kept(folders: Folders, found: Iterable[Hold]) -> dict[str, dict[str, str]]:
    """Return the texts by folder and path, with those of held workloads in place of their own."""
    made = {folder: dict(texts) for folder, texts in folders.items()}
    for hold in found:
        for folder, texts in made.items():
            prefix = f"{folder}/"
            old = {
                name.removeprefix(prefix): value
                for name, value in hold.texts.items()
                if name.startswith(prefix)
            }
            if old:
                own = [name for name in texts if owner(name) == hold.key]
                made[folder] = dict(
                    sorted({**{n: t for n, t in texts.items() if n not in own}, **old}.items())
                )
    return made


def problems(
    file: Path, found: Iterable[Hold], now: Mapping[str, Entry], environment: str
) -> Iterator[Problem]:
    """Yield what is held, and holds of workloads that are not there any more; `now` is what the specs say."""
    for hold in found:
        kind, space, name = hold.workload.split("/")
        release = f"fleetform rollback {kind}/{space}/{name} --env {environment} --release"
        entry = now.get(hold.workload)
        if entry is None:
            yield Problem(
                "error",
                "held-nothing",
                f"{hold.workload} is held at {hold.entry.revision}, but no spec has it",
                str(file),
                hint=f"`{release}`",
            )
        elif entry[:3] == hold.entry[:3]:
            yield Problem(
                "warning",
                "held",
                f"{hold.workload} is held at {hold.entry.revision}, which its spec says as well",
                str(file),
                hint=f"`{release}`",
            )
        else:
            because = f" ({hold.because})" if hold.because else ""
            yield Problem(
                "warning",
                "held",
                f"{hold.workload} is held at {hold.entry.revision}{because}; its spec says {entry.revision}",
                str(file),
                hint=f"mend the spec, then `{release}`",
            )


def compose(environment: str) -> str:
    """Return the folder of an environment's Compose files, one of which has all services."""
    return f"compose/{environment}"


def earlier(environment: str, commit: str, service: str) -> str:
    """Return the commands that start a service of Compose as an earlier commit has it."""
    file = f"../earlier/{compose(environment)}/compose.yaml"
    return f"git worktree add ../earlier {commit} && docker compose -f {file} up -d --no-deps {service}"


def passed_by(
    file: Path, found: Iterable[Hold], now: Mapping[str, Entry], environment: str
) -> Iterator[Problem]:
    """Yield workloads that are held on Kubernetes, and are on Compose what their specs say."""
    for hold in found:
        entry = now.get(hold.workload)
        if entry is None or entry[:3] == hold.entry[:3]:
            continue
        _, space, name = hold.workload.split("/")
        yield Problem(
            "warning",
            "held-elsewhere",
            f"{hold.workload} is not held in {compose(environment)}, whose file has all services: there it is what its spec says",
            str(file),
            hint=f"to start it as it was: `{earlier(environment, hold.commit[:12], f'{name}.{space}')}`",
        )


def _hold(item: Any) -> Hold:
    workload = str(item["workload"])
    if workload.count("/") != 2:
        raise ValueError(workload)
    files = item["files"]
    entry = entry_of(item, {name: one["sha256"] for name, one in files.items()})
    if item["revision"] != entry.revision or len(entry.revision) != SHORT:
        raise ValueError(workload)
    texts = {str(name): _text(one["text"]) for name, one in files.items()}
    return Hold(workload, str(item["commit"]), str(item.get("because", "")), entry, texts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _broken(file: Path, what: str) -> Problem:
    return Problem(
        "error",
        "bad-hold",
        what,
        str(file),
        hint="restore the file from Git, or roll back again",
    )
