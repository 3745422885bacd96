"""What an apply would change in a cluster, field by field, according to the API server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from fleetform.platforms.kubernetes.kinds import PRUNED, PRUNED_IN_CLUSTER
from fleetform.platforms.kubernetes.live.api import Api, Object, Refusal
from fleetform.platforms.kubernetes.objects import Unit
from fleetform.platforms.kubernetes.objects.changes import Change, differences
from fleetform.platforms.kubernetes.objects.manifest import MANAGED_BY, PART_OF
from fleetform.records import NamedTuple

Action = Literal["create", "change", "recreate", "refused", "prune"]
# Set by the API server itself.
SERVERS_OWN = (
    *("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink"),
    "deletionGracePeriodSeconds",
)
FIELD_MANAGER = "fleetform"
"""Field manager for objects that have not been applied before."""
CANNOT_CHANGE = re.compile(
    r"immutable|may not change|may not be changed|cannot change|cannot be changed"
    r"|updates to statefulset spec for fields other than"
)
"""How the API server refuses another value of a field that an object keeps for its life."""
KEPT = "helm.sh/resource-policy"
"""Objects with this annotation outlive their removal from the output."""
OURS = f"app.kubernetes.io/part-of={PART_OF},app.kubernetes.io/managed-by={MANAGED_BY}"


class Row(NamedTuple):
    """What would happen to one object."""

    action: Action
    kind: str
    namespace: str
    name: str
    changes: tuple[Change, ...] = ()
    message: str = ""


def rows(
    api: Api,
    units: Iterable[Unit],
    spaces: Iterable[str],
    field_manager: str | None = None,
    kinds: Iterable[tuple[str, str]] = (),
) -> Iterator[Row]:
    """Yield what an apply of an environment's objects would do; nothing for unchanged objects.

    `spaces` are the namespaces that are searched for objects no longer rendered, of `kinds` as well. Without a
    `field_manager` each object is applied as the manager that applied it last.
    """
    objects = [item for unit in units for item in unit.objects]
    missing: set[str] = set()
    for manifest in objects:
        row = _row(api, manifest, missing, field_manager)
        if row is not None:
            yield row
    yield from _pruned(api, objects, {*spaces} - missing, (*PRUNED, *kinds))


def _row(api: Api, manifest: Object, missing: set[str], field_manager: str | None) -> Row | None:
    metadata = manifest["metadata"]
    space = metadata.get("namespace", "")
    place = manifest["kind"], space, metadata["name"]
    if space in missing:  # nothing can be tried in a namespace that does not exist yet
        return Row("create", *place)
    live = api.get(manifest)
    if live is None and manifest["kind"] == "Namespace":
        missing.add(metadata["name"])
    answer = api.dry_run(manifest, field_manager or applier(live))
    if isinstance(answer, Refusal):
        if live is None and answer.code == 404:
            missing.add(space)
            return Row("create", *place)
        if live is None or not CANNOT_CHANGE.search(answer.message):
            return Row("refused", *place, message=answer.message)
        return Row("recreate", *place, tuple(wanted(live, manifest)), answer.message)
    if live is None:
        return Row("create", *place)
    changes = tuple(differences(tidy(live), tidy(answer)))
    return Row("change", *place, changes) if changes else None


def applier(live: Object | None) -> str:
    """Return the manager that applied an object last, whose fields are removed when they are no longer rendered."""
    entries = live["metadata"].get("managedFields") or () if live else ()
    applied = [
        (entry.get("time") or "", entry.get("manager") or FIELD_MANAGER)
        for entry in entries
        if entry.get("operation") == "Apply" and not entry.get("subresource")
    ]
    return max(applied)[1] if applied else FIELD_MANAGER


def wanted(live: Object, manifest: Object) -> Iterator[Change]:
    """Yield the fields in which an object differs from the cluster; fields that it does not set are ignored."""
    for change in differences(tidy(live), tidy(manifest)):
        if change.new is not None:
            yield change


def tidy(item: Object) -> Object:
    """Return an object without what the API server and controllers set themselves."""
    found: dict[str, Any] = {key: value for key, value in item.items() if key != "status"}
    metadata = item["metadata"]
    found["metadata"] = {key: metadata[key] for key in metadata if key not in SERVERS_OWN}
    return found


def _pruned(
    api: Api, objects: list[Object], spaces: set[str], kinds: Iterable[tuple[str, str]]
) -> Iterator[Row]:
    """Yield objects in the cluster that we wrote and no longer render."""
    rendered = {_identity(item) for item in objects}
    places = [(space, kind) for space in sorted(spaces) for kind in kinds]
    places += [("", kind) for kind in PRUNED_IN_CLUSTER]
    for space, (version, kind) in places:
        for item in api.all(version, kind, space, OURS):
            metadata = item["metadata"]
            # A cluster-wide name starts with a namespace: other environments' are not ours to judge.
            foreign = not space and metadata["name"].partition(":")[0] not in spaces
            if (
                foreign
                or _identity(item) in rendered
                or KEPT in (metadata.get("annotations") or {})
            ):
                continue
            # KEDA copies our labels to the autoscaler that it creates and manages.
            if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()):
                continue
            message = _left(api, item) if kind == "Rollout" else ""
            yield Row("prune", kind, space, metadata["name"], message=message)


def _left(api: Api, rollout: Object) -> str:
    """Return what is wrong with pruning a Rollout: its pods go with it, and whose template they have may have none."""
    reference = rollout["spec"].get("workloadRef") or {}
    if not reference:
        return ""
    place = {"namespace": rollout["metadata"]["namespace"], "name": reference["name"]}
    live = api.get(
        {"apiVersion": reference["apiVersion"], "kind": reference["kind"], "metadata": place}
    )
    if live is None or (live.get("status") or {}).get("readyReplicas"):
        return ""
    return (
        f"its pods go with it, and {reference['kind']} {reference['name']} has none: set `delivery.canary.moving: out` "
        "first, and remove it when that has pods"
    )


def _identity(item: Object) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]
