"""Volumes: exactly one source each, shared only where the access mode allows it, never over our own mounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.contract import FOLDER, PIPES
from fleetform.names import fit
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import workloads
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
RESERVED_NAMES = frozenset({"tmp", "config", "secrets"})
RESERVED_PATHS = ("/tmp", FOLDER, "/var/run/secrets", "/run/secrets", "/proc", "/sys", PIPES)  # noqa: S108 - the pod's own


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield volumes with no source or two, in reserved places, or shared with different settings."""
    del uses
    claims: dict[tuple[str, str], tuple[Resolved[Any], object]] = {}
    for resolved, spec, _ in workloads(fleet):
        if resolved.kind == "MemoryStore" and spec.storage:
            claims[resolved.namespace, fit(resolved.name, "-data")] = (resolved, None)
    for resolved, spec, root in workloads(fleet):
        for number, volume in enumerate(spec.pod_template.volumes):
            yield from _source(resolved, (*root, "podTemplate", "volumes", number), volume)
        if spec.container is not None and spec.container.config_files:
            folder = spec.container.config_dir
            yield from _place(resolved, (*root, "container", "configDir"), folder, FOLDER)
        for number, volume in enumerate(spec.volumes):
            path: TreePath = (*root, "volumes", number)
            yield from _volume(resolved, path, volume)
            if volume.claim is not None and not getattr(spec, "stateful", False):
                first = claims.setdefault(
                    (resolved.namespace, volume.name), (resolved, volume.claim)
                )
                if first[1] != volume.claim:
                    yield resolved.problem(
                        (*path, "claim"),
                        "claim-clash",
                        f"the claim `{volume.name}` differs from the one in {first[0].kind} `{first[0].name}`",
                        hint="workloads that name the same volume share it: make them equal, or rename one",
                        key=True,
                    )
                elif first[0] is not resolved and volume.claim.access_mode in ONE_NODE:
                    yield resolved.problem(
                        (*path, "claim", "accessMode"),
                        "single-writer",
                        f"`{volume.name}` is shared with {first[0].kind} `{first[0].name}`, but only one node can mount it for writing",
                        hint="set `accessMode: ReadWriteMany`, or rename one of the volumes",
                    )
                elif first[0] is not resolved and volume.claim.access_mode is None:
                    yield resolved.problem(
                        (*path, "claim"),
                        "claim-not-shared",
                        f"the claim `{volume.name}` is that of {first[0].kind} `{first[0].name}` in {first[0].file}, and neither says that it is shared",
                        hint="set `accessMode: ReadWriteMany` in both, or rename one of the volumes",
                        key=True,
                    )


def _source(resolved: Resolved[Any], path: TreePath, volume: Any) -> Iterator[Problem]:
    fields = {"emptyDir": "empty_dir", "configMap": "config_map", "secret": "secret"}
    if hasattr(volume, "claim"):
        fields = {"claim": "claim", "existingClaim": "existing_claim", **fields}
    sources = [name for name, field in fields.items() if getattr(volume, field) is not None]
    if len(sources) != 1:
        said = "no source" if not sources else f"{len(sources)} sources ({', '.join(sources)})"
        yield resolved.problem(
            path,
            "volume-source",
            f"the volume `{volume.name}` has {said}",
            hint=f"give it one of {', '.join(fields)}",
            key=True,
        )
    if volume.medium and volume.empty_dir is None:
        yield resolved.problem(
            (*path, "medium"),
            "not-used",
            "`medium` has no effect: it is that of an `emptyDir`",
            hint="set `emptyDir` to a size, or remove it",
            severity="warning",
            key=True,
        )
    if volume.name in RESERVED_NAMES or volume.name.startswith("fleetform-"):
        yield resolved.problem(
            (*path, "name"),
            "reserved-name",
            f"the volume name `{volume.name}` is used by Fleetform",
            hint="choose another name",
        )


def _volume(resolved: Resolved[Any], path: TreePath, volume: Any) -> Iterator[Problem]:
    yield from _source(resolved, path, volume)
    if ".." in (volume.sub_path or "").split("/"):
        yield resolved.problem(
            (*path, "subPath"),
            "bad-path",
            f"`{volume.sub_path}` leads outside the volume",
            hint="use a folder inside it",
        )
    yield from _place(resolved, (*path, "mountPath"), volume.mount_path)


def _place(
    resolved: Resolved[Any], path: TreePath, mount: str, allowed: str = ""
) -> Iterator[Problem]:
    places = [place for place in RESERVED_PATHS if place != allowed]
    taken = any(f"{mount.rstrip('/')}/".startswith(f"{place}/") for place in places)
    if taken or mount.rstrip("/") in ("", "/dev"):
        yield resolved.problem(
            path, "reserved-path", f"`{mount}` is already in use", hint="mount it somewhere else"
        )
