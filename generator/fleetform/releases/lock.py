"""`releases/ENV.lock.yaml`: for each workload its configuration, images and files, by hashes; written by `render`.

Its history in Git is the list of revisions that `fleetform rollback` knows. A workload is a line below its title, so
that Git can merge what pull requests on neighbours change or add.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fleetform
from fleetform import written
from fleetform.hashes import sha256
from fleetform.pyyaml import yaml
from fleetform.records import NamedTuple

if TYPE_CHECKING:
    from fleetform.pipeline import Assembled
    from fleetform.platforms.kubernetes.model import WorkloadPlan

FOLDER = "releases"
SHORT = 8
"""Digits of a hash by which people know a revision: those in the name of its ConfigMap."""
_HEADER = """\
# Written by `fleetform render`: what the output of {environment} consists of. `fleetform rollback` finds earlier
# revisions in its history.
"""

# An encoder is made once: `json.dumps` makes one for each call.
_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_line = json.JSONEncoder(ensure_ascii=False).encode

Folders = Mapping[str, Mapping[str, str]]
"""Texts by folder and path."""


class Entry(NamedTuple):
    """One workload: hashes are SHA-256 in 64 hex digits."""

    config: str
    """Hash of the ConfigMap's data; empty if it has none."""
    spec: str
    """Hash of the resolved spec, which names secrets and has none."""
    images: tuple[str, ...]
    files: Mapping[str, str]
    """Hash of each file, by its path from the output's root."""

    @property
    def revision(self) -> str:
        """Return what people call it: the end of the name of its ConfigMap, else the beginning of its spec's hash."""
        return (self.config or self.spec)[:SHORT]


def name(environment: str) -> str:
    """Return the name of an environment's lock below FOLDER."""
    return f"{environment}.lock.yaml"


def entries(found: Assembled, folders: Folders) -> dict[str, Entry]:
    """Return the entry of each workload, by KIND/NAMESPACE/NAME; namespaces are those of the cluster."""
    if found.kubernetes is None:
        return {}
    plans = {(plan.namespace, plan.name): plan for plan in found.kubernetes.plan.workloads}
    files = _files(folders, found.fleet.environment_name)
    made = {}
    for workload in found.plan.workloads:
        key = workload.namespace, workload.name
        if (plan := plans.get(key)) is not None and key in files:
            resolved = workload.resolved
            made[f"{resolved.kind}/{workload.namespace}/{workload.name}"] = Entry(
                plan.config.digest if plan.config else "",
                sha(_json(resolved.tree.get("spec"))),
                tuple(_images(plan)),
                files[key],
            )
    return dict(sorted(made.items()))


def text(environment: str, found: Mapping[str, Entry]) -> str:
    """Return a lock's text: YAML, of which each workload is a line of JSON."""
    lines = [_HEADER.format(environment=environment), f"environment: {environment}\n"]
    lines.append(f'generator: "{fleetform.__version__}"\nworkloads:\n')
    for title, entry in sorted(found.items()):
        row = {"workload": title, **entry._asdict()}
        if not entry.config:
            del row["config"]
        # A line that stays between two that change keeps Git from seeing a conflict.
        lines.append(f"# {title}\n- {_line(row)}\n")
    return "".join(lines)


def read(data: str | bytes) -> dict[str, Entry]:
    """Return the entries of a lock.

    Raises:
        ValueError: it is none.
    """
    try:
        body = written.load(data)
        return {
            str(item["workload"]): entry_of(item, item["files"]) for item in body["workloads"] or ()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def entry_of(item: Any, files: Mapping[Any, Any]) -> Entry:
    """Return the entry that a row of a lock, or of a file with holds, says; `files` are its hashes by path.

    Raises:
        AttributeError, KeyError, TypeError: it says none.
    """
    return Entry(
        str(item.get("config", "")),
        str(item["spec"]),
        tuple(map(str, item["images"])),
        {str(path): str(value) for path, value in files.items()},
    )


def sha(value: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in 64 hex digits."""
    return sha256(value.encode("utf-8", "surrogatepass"))


def _images(plan: WorkloadPlan) -> Iterator[str]:
    yield plan.image
    containers: tuple[Any, ...] = (*plan.init_containers, *plan.sidecars)
    yield from (str(item["image"]) for item in containers)


def owner(path: str) -> tuple[str, str] | None:
    """Return namespace and name of the workload that a file of a target's folder is of, None if it is of all of them."""
    space, slash, rest = path.partition("/")
    return (space, rest.partition("/")[0].removesuffix(".yaml")) if slash else None


def _files(folders: Folders, environment: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the hashes of the files of each workload, none of what environments share."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for folder, texts in sorted(folders.items()):
        if folder.endswith(f"/{environment}"):
            for path, value in texts.items():
                if key := owner(path):
                    found.setdefault(key, {})[f"{folder}/{path}"] = sha(value)
    return found
