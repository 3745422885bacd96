"""Volumes: one source each, shared only where the access mode allows it, never over what is ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
RESERVED_NAMES = frozenset({"tmp", "config", "secrets"})
RESERVED_PATHS = ("/tmp", "/etc/fleetform", "/var/run/secrets")  # noqa: S108 - the pod's own


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield volumes without a source, with two, in our places, or shared in two shapes."""
    del uses
    claims: dict[tuple[str, str], tuple[Resolved, object]] = {}
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            for number, volume in enumerate(resolved.spec.volumes):
                path: Path = ("spec", "volumes", number)
                yield from _volume(resolved, path, volume)
                if volume.claim is not None and not resolved.spec.stateful:
                    first = claims.setdefault(
                        (resolved.namespace, volume.name), (resolved, volume.claim)
                    )
                    if first[1] != volume.claim:
                        yield resolved.problem(
                            (*path, "claim"),
                            "claim-clash",
                            f"the claim `{volume.name}` is another one in {first[0].kind} `{first[0].name}`",
                            hint="agents that name the same volume share it: make both the same, or rename one",
                            key=True,
                        )
                    elif first[0] is not resolved and volume.claim.access_mode in ONE_NODE:
                        yield resolved.problem(
                            (*path, "claim", "accessMode"),
                            "single-writer",
                            f"`{volume.name}` is shared with {first[0].kind} `{first[0].name}`, and only one node may write it",
                            hint="set `accessMode: ReadWriteMany`, or rename one of the volumes",
                        )


def _volume(resolved: Resolved, path: Path, volume: object) -> Iterator[Problem]:
    sources = [
        name
        for name, field in (
            ("claim", "claim"),
            ("emptyDir", "empty_dir"),
            ("configMap", "config_map"),
            ("secret", "secret"),
        )
        if getattr(volume, field) is not None
    ]
    name, mount = volume.name, volume.mount_path  # type: ignore[attr-defined]
    if len(sources) != 1:
        said = "no source" if not sources else f"{len(sources)} sources ({', '.join(sources)})"
        yield resolved.problem(
            path,
            "volume-source",
            f"the volume `{name}` has {said}",
            hint="give it one of claim, emptyDir, configMap, secret",
            key=True,
        )
    if name in RESERVED_NAMES or name.startswith("fleetform-"):
        yield resolved.problem(
            (*path, "name"),
            "reserved-name",
            f"the volume name `{name}` is Fleetform's own",
            hint="choose another name",
        )
    if (
        any(mount.rstrip("/") == place or mount.startswith(place + "/") for place in RESERVED_PATHS)
        or mount == "/"
    ):
        yield resolved.problem(
            (*path, "mountPath"),
            "reserved-path",
            f"`{mount}` is taken",
            hint="mount it somewhere else",
        )
