"""Changes that a cluster refuses, or that hurt, told by comparing new output with the output before.

Some fields stay as they are for an object's life: Flux, Helm and kubectl stop at a change of them, and nothing
of the namespace is applied any more. What is rendered does not show it; what was committed before does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleetform import quantity, written
from fleetform.lazy import regex
from fleetform.platforms.kubernetes.objects.dashboard import BY_OPERATOR, NAME
from fleetform.platforms.kubernetes.targets.helm import SHARED
from fleetform.problems import Problem
from fleetform.pyyaml import yaml
from fleetform.records import NamedTuple

FOR_LIFE = {
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeMode", "volumeName"),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "Deployment": ("selector",),
    "Job": ("selector", "template"),
    "Service": ("clusterIP",),
    "GrafanaDashboard": ("instanceSelector",),
}
"""By kind: fields of the spec that an API server refuses to change (k8s.io/kubernetes, each type's validation; rules of CRDs)."""
MAY_LACK = {"storageClassName": "accessModes", "volumeClaimTemplates": "selector"}
"""Those that an object may be without, which is a value of its own, and what each whole object has."""
AUTOSCALER, BY_KEDA = "HorizontalPodAutoscaler", "ScaledObject"
BY_STEPS = "Rollout"
KINDS = frozenset((*FOR_LIFE, AUTOSCALER, BY_KEDA, BY_STEPS))
_KIND = regex(r"^kind: (\w+)$", re.MULTILINE)
_VALUES = regex(r"^(?:claims|kind|replicaCount|autoscaling|keda|canary|dashboard|volumeClaimTemplates):", re.MULTILINE)  # fmt: skip
QUANTITY = regex(r"[0-9]+(\.[0-9]+)?([kMGTPE]i?)?")
LONGEST = 200
_NEW_CLAIM = (
    "use a volume with a new name and copy the data, or delete the claim, and the data with it"
)
_HINTS = {
    "PersistentVolumeClaim": f"set it as it was; or {_NEW_CLAIM}",
    "StatefulSet": "set it as it was; or delete the StatefulSet with `--cascade=orphan` before it is applied, "
    "which keeps pods and claims (docs/upgrade.md)",
}


class Found(NamedTuple):
    """The spec of an object, and the file that has it."""

    file: str
    spec: dict[str, Any]


Texts = Mapping[str, str]
"""Files by path."""
Key = tuple[str, str, str]
"""Kind, namespace and name."""


def warnings(folders: Mapping[str, tuple[Texts, Texts]]) -> Iterator[Problem]:
    """Yield what a change asks of a cluster that it cannot do, once for each object and field.

    `folders` has, by output folder, the files that change: as they were, and as they are now. Documents
    of other kinds are not read.
    """
    said = set()
    for folder, (before, after) in folders.items():
        if before and after:
            for problem in _compared(_objects(folder, before), _objects(folder, after)):
                if problem.message not in said:
                    said.add(problem.message)
                    yield problem


def _compared(before: Mapping[Key, Found], after: Mapping[Key, Found]) -> Iterator[Problem]:
    yield from _stepped(before, after)
    for (kind, space, name), (file, new) in after.items():
        title = f"{kind} `{space}/{name}`" if space else f"{kind} `{name}`"
        other = {"Deployment": "StatefulSet", "StatefulSet": "Deployment"}.get(kind)
        if (kind, space, name) not in before and other and (other, space, name) in before:
            yield _warning(
                file,
                f"{other} `{space}/{name}` becomes a {kind}: its pods get other volumes, and all stop at once",
                "what was in its claims stays in them: copy it, or mount the old claim; docs/upgrade.md has the steps",
            )
        if kind == BY_KEDA and (AUTOSCALER, space, name) in before:
            yield _warning(
                file,
                f"KEDA refuses the new {kind} `{space}/{name}` as long as the HorizontalPodAutoscaler `{name}` is there",
                f"delete that just before: kubectl -n {space} delete hpa {name}; the pods stay as they are",
            )
        if (kind, space, name) not in before:
            continue
        old = before[kind, space, name].spec
        for field in FOR_LIFE.get(kind, ()):
            # A patch of an overlay has some of the fields: what is missing there was not removed.
            names = (field, MAY_LACK.get(field, field))
            is_known = any(name in old and name in new for name in names)
            if is_known and old.get(field) != new.get(field):
                message = f"`spec.{field}` of {title} changes from {_text(old.get(field))} to {_text(new.get(field))}, which no cluster does"
                hint = _HINTS.get(
                    kind, "set it as it was, or delete the object before it is applied"
                )
                yield _warning(file, message, hint)
        yield from _sizes(file, title, old, new)
        replicas = old.get("replicas", 1)
        has_more = isinstance(replicas, int) and replicas > 1
        if has_more and "replicas" not in new and kind in ("Deployment", "StatefulSet"):
            yield _warning(
                file,
                f"{title} loses `replicas: {replicas}` to an autoscaler: whoever applied it resets it to 1 "
                "until the autoscaler acts",
                "add the autoscaler with minReplicas first and remove `replicas` from the cluster's field owners: "
                "docs/upgrade.md has the steps",
            )


def _stepped(before: Mapping[Key, Found], after: Mapping[Key, Found]) -> Iterator[Problem]:
    """Yield Deployments whose pods go before others are there, as a Rollout takes them over or leaves them."""
    for (kind, space, name), (file, new) in after.items():
        key, title = (BY_STEPS, space, name), f"`{space}/{name}`"
        if kind != "Deployment" or (kind, space, name) not in before:
            continue
        old = before[kind, space, name].spec
        if key in before and key not in after and not _serves(old):
            yield _warning(
                file,
                f"the Rollout {title} goes with all its pods, and its Deployment has none: nobody serves until it has, and an "
                "autoscaler never begins at none",
                "keep `delivery.canary` for one release with `moving: out`, and remove it when the Deployment's pods are ready: "
                "docs/canaries.md has the steps",
            )
        if key in after and key not in before and not _serves(new):
            yield _warning(
                file,
                f"the pods of Deployment {title} go at once, before those of its new Rollout are ready",
                "set `delivery.canary.moving: in` for one release, and remove it when the Rollout has its pods: docs/canaries.md "
                "has the steps",
            )


def _serves(deployment: dict[str, Any]) -> bool:
    """Whether the Deployment of a Rollout has pods of its own beside it."""
    return deployment.get("replicas") != 0


def _sizes(file: str, title: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Problem]:
    """Yield a claim that shrinks."""
    found = [_map(_map(spec, "resources"), "requests").get("storage") for spec in (old, new)]
    sizes = [str(size) for size in found if isinstance(size, str | int)]
    known = len(sizes) == 2 and all(map(QUANTITY.fullmatch, sizes))
    if known and quantity.parse(sizes[1]) < quantity.parse(sizes[0]):
        message = f"the size of {title} changes from {sizes[0]} to {sizes[1]}, and no claim shrinks"
        yield _warning(file, message, f"set it as it was; or {_NEW_CLAIM}")


def _text(value: Any) -> str:
    """Return a value as JSON, cut short: what somebody else wrote into the output may be of any size."""
    if value is None:
        return "nothing"
    text = ""
    for part in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += part
        if len(text) > LONGEST:
            return f"{text[:LONGEST]}…"
    return text


def _warning(file: str, message: str, hint: str) -> Problem:
    return Problem("warning", "for-life", message, file, hint=hint)


def _objects(folder: str, texts: Texts) -> dict[Key, Found]:
    """Return the objects of the kinds that matter, from manifests, or from what values of the charts say of them."""
    found = {}
    for path, text in texts.items():
        file = f"{folder}/{path}"
        if folder.startswith("charts/"):
            space, _, name = path.removesuffix(".yaml").rpartition("/")
            objects = _of_values(space, name, text)
        else:
            objects = _of_manifests(text)
        for key, spec in objects:
            found[key] = Found(file, spec)
    return found


def _of_manifests(text: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    for part in re.split(r"^---\n", text, flags=re.MULTILINE):
        kind = _KIND.search(part)
        if kind is not None and kind[1] in KINDS:
            for item in _read(part):
                metadata = _map(item, "metadata")
                space, name = (_word(metadata.get(key)) for key in ("namespace", "name"))
                yield (kind[1], space, name), _map(item, "spec")


def _of_values(space: str, name: str, text: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    values = next(_read(text), {}) if _VALUES.search(text) else {}
    for claim in _maps(values, "claims"):
        yield ("PersistentVolumeClaim", space, _word(claim.get("name"))), _claim(claim)
    if name == SHARED:
        yield from _board(space, _map(values, "dashboard"))
        return
    spec: dict[str, Any] = {"replicas": values.get("replicaCount", 1)}
    canary = _map(values, "canary")
    has_rollout = bool(canary.get("enabled"))
    if has_rollout:
        yield (BY_STEPS, space, name), {}
    for key, scaler in (("autoscaling", AUTOSCALER), ("keda", BY_KEDA)):
        if _map(values, key).get("enabled"):
            spec.pop("replicas", None)
            yield (scaler, space, name), {}
    if has_rollout and not canary.get("moving"):
        spec["replicas"] = 0
    templates = _maps(values, "volumeClaimTemplates")
    spec["volumeClaimTemplates"] = [
        {"name": item.get("name"), **_claim(item)} for item in templates
    ]
    kind = _word(values.get("kind", "Deployment"))
    if kind in KINDS:
        yield (kind, space, name), spec


def _board(space: str, values: dict[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    if values.get("enabled") and values.get("kind") == BY_OPERATOR:
        selector = {"matchLabels": _map(values, "instanceSelector")}
        yield (BY_OPERATOR, space, NAME), {"instanceSelector": selector}


def _claim(values: dict[str, Any]) -> dict[str, Any]:
    spec = {
        "accessModes": [values.get("accessMode")],
        "storageClassName": values.get("storageClassName", ""),
    }
    return {**spec, "resources": {"requests": {"storage": values.get("size")}}}


def _map(node: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a member that is a map; an empty one if somebody made it something else."""
    found = node.get(key)
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    """Return a text; an empty one for anything else, which may be too large to be written out."""
    return value if isinstance(value, str) else ""


def _maps(node: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = node.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _read(text: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of a text; none if somebody broke it, which is then replaced."""
    try:
        yield from (item for item in written.load_all(text) if isinstance(item, dict))
    except yaml.YAMLError:
        return
