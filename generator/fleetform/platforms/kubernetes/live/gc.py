"""Config revisions that nothing mounts any more: the only objects of ours that accumulate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.live.api import Api, Object
from fleetform.platforms.kubernetes.objects.manifest import PART_OF
from fleetform.records import NamedTuple

REVISION = re.compile(r"-config-[0-9a-f]{8}$")
OURS = f"app.kubernetes.io/part-of={PART_OF}"
INSTANCE = "app.kubernetes.io/instance"
# Kinds with a pod template, and pods; `kubectl rollout undo` goes back to a ReplicaSet.
HOLDERS = (
    ("v1", "Pod", ("spec",)),
    ("apps/v1", "ReplicaSet", ("spec", "template", "spec")),
    ("apps/v1", "Deployment", ("spec", "template", "spec")),
    ("apps/v1", "StatefulSet", ("spec", "template", "spec")),
    ("apps/v1", "ControllerRevision", ("data", "spec", "template", "spec")),
    ("batch/v1", "Job", ("spec", "template", "spec")),
    ("batch/v1", "CronJob", ("spec", "jobTemplate", "spec", "template", "spec")),
)
# A run keeps the template that it began with, whose pods come one after another.
OF_ARGO = (
    ("argoproj.io/v1alpha1", "WorkflowTemplate", ("spec",)),
    ("argoproj.io/v1alpha1", "Workflow", ("status", "storedWorkflowTemplateSpec")),
)


class Revision(NamedTuple):
    """A config revision, and why it is kept: empty if it is unused."""

    manifest: Object
    kept: str

    @property
    def name(self) -> str:
        """Return the name of the ConfigMap."""
        name: str = self.manifest["metadata"]["name"]
        return name


def revisions(api: Api, namespace: str, keep: int, *, argo: bool = False) -> Iterator[Revision]:
    """Yield the revisions of a namespace, by workload, newest first; `argo`: Argo Workflows may mount some.

    Of a workload that no longer exists none are kept: there is nothing to roll back.
    """
    held = [
        (kind, item, path)
        for version, kind, path in (*HOLDERS, *(OF_ARGO if argo else ()))
        for item in api.all(version, kind, namespace)
    ]
    mounted = {name for _, item, path in held for name in _mounted(item, path)}
    alive = {*WITH_PODS, "WorkflowTemplate"}
    running = {_workload(item) for kind, item, _ in held if kind in alive}
    by_workload: dict[str, list[Object]] = {}
    for item in api.all("v1", "ConfigMap", namespace, OURS):
        if item.get("immutable") and REVISION.search(item["metadata"]["name"]):
            by_workload.setdefault(_workload(item), []).append(item)
    for workload, found in sorted(by_workload.items()):
        found.sort(key=_age, reverse=True)
        last = keep if workload in running else 0
        for number, item in enumerate(found):
            yield Revision(item, _reason(item, mounted, number, last))


def _workload(item: Object) -> str:
    name: str = (item["metadata"].get("labels") or {}).get(INSTANCE, "")
    return name


def _age(item: Object) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]


def _reason(item: Object, mounted: set[str], number: int, keep: int) -> str:
    if item["metadata"]["name"] in mounted:
        return "mounted"
    return f"one of the last {keep}" if number < keep else ""


def _mounted(item: Object, path: Iterable[str]) -> Iterator[str]:
    """Yield the names of ConfigMaps that the pods of an object use in any way."""
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
