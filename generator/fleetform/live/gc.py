"""Config revisions that nothing mounts any more: the only objects of ours that pile up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fleetform.live.api import Api, Object
from fleetform.objects.manifest import PART_OF

REVISION = re.compile(r"-config-[0-9a-f]{8}$")
OURS = f"app.kubernetes.io/part-of={PART_OF}"
INSTANCE = "app.kubernetes.io/instance"
# Whoever holds a pod template or a pod; a ReplicaSet is what `kubectl rollout undo` goes back to.
HOLDERS = (
    ("v1", "Pod", ("spec",)),
    ("apps/v1", "ReplicaSet", ("spec", "template", "spec")),
    ("apps/v1", "Deployment", ("spec", "template", "spec")),
    ("apps/v1", "StatefulSet", ("spec", "template", "spec")),
    ("apps/v1", "ControllerRevision", ("data", "spec", "template", "spec")),
    ("batch/v1", "Job", ("spec", "template", "spec")),
    ("batch/v1", "CronJob", ("spec", "jobTemplate", "spec", "template", "spec")),
)


class Revision(NamedTuple):
    """A config revision, and why it stays: empty when it may go."""

    manifest: Object
    kept: str

    @property
    def name(self) -> str:
        """Return the name of the ConfigMap."""
        name: str = self.manifest["metadata"]["name"]
        return name


def revisions(api: Api, namespace: str, keep: int) -> Iterator[Revision]:
    """Yield the revisions of a namespace, by workload, the newest first."""
    mounted = {name for holder in HOLDERS for name in _mounted(api, namespace, *holder)}
    by_workload: dict[str, list[Object]] = {}
    for item in api.all("v1", "ConfigMap", namespace, OURS):
        if item.get("immutable") and REVISION.search(item["metadata"]["name"]):
            owner = item["metadata"]["labels"].get(INSTANCE, "")
            by_workload.setdefault(owner, []).append(item)
    for _, found in sorted(by_workload.items()):
        found.sort(key=_age, reverse=True)
        for number, item in enumerate(found):
            yield Revision(item, _reason(item, mounted, number, keep))


def _age(item: Object) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]


def _reason(item: Object, mounted: set[str], number: int, keep: int) -> str:
    if item["metadata"]["name"] in mounted:
        return "mounted"
    return f"one of the last {keep}" if number < keep else ""


def _mounted(
    api: Api, namespace: str, version: str, kind: str, path: Iterable[str]
) -> Iterator[str]:
    """Yield the names of ConfigMaps that the pods of some objects use in any way."""
    for item in api.all(version, kind, namespace):
        node: Any = item
        for step in path:
            node = (node or {}).get(step)
        yield from _named(node or {})


def _named(pod: Object) -> Iterator[str]:
    for volume in pod.get("volumes") or ():
        if volume.get("configMap"):
            yield volume["configMap"]["name"]
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("configMap"):
                yield source["configMap"]["name"]
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        for source in container.get("envFrom") or ():
            if source.get("configMapRef"):
                yield source["configMapRef"]["name"]
        for variable in container.get("env") or ():
            reference = (variable.get("valueFrom") or {}).get("configMapKeyRef")
            if reference:
                yield reference["name"]
