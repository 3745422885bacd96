"""What Kustomize's own fields do to objects: each is used only if it does exactly what is wanted.

A kustomization field applies to everything below it, after the patches. So it is chosen if it
leaves the wanted objects unchanged; patches then start from what it makes of the base.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fleetform.plan.images import split
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.records import NamedTuple

Object = dict[str, Any]
Change = Callable[[Object], Object]

_BINDINGS = frozenset(("RoleBinding", "ClusterRoleBinding"))
_FEW = 1
"""On so many objects a label is changed by a patch."""


class Pair(NamedTuple):
    """An object of the base, and the one it should become."""

    base: Object
    wanted: Object


class Field(NamedTuple):
    """A kustomization field, and what it does to an object."""

    name: str
    value: Any
    change: Change


def namespace(base: str, wanted: str, accounts: Iterable[str]) -> Field:
    """Return the field that moves objects to another namespace; `accounts` are those that move too.

    Kustomize also renames a Namespace, and the subjects of bindings whose accounts are among the
    objects.
    """
    moved = {*accounts, "default"}

    def change(item: Object) -> Object:
        metadata = item["metadata"]
        if item["kind"] == "Namespace":
            return {**item, "metadata": {**metadata, "name": wanted}}
        if metadata.get("namespace") == base:
            item = {**item, "metadata": {**metadata, "namespace": wanted}}
        if item["kind"] in _BINDINGS and "subjects" in item:
            item = {**item, "subjects": [subject(entry) for entry in item["subjects"]]}
        return item

    def subject(entry: Object) -> Object:
        if entry["kind"] == "ServiceAccount" and entry["name"] in moved:
            return {**entry, "namespace": wanted}
        return entry

    return Field("namespace", wanted, change)


# -- labels -------------------------------------------------------------------------------------


def labels(pairs: list[Pair], wanted: list[Object]) -> Field | None:
    """Return the field that sets labels that all wanted objects have, and several in the base lack."""
    common = set(_labels_of(wanted[0]).items()) if wanted else set()
    for item in wanted:
        common &= _labels_of(item).items()
    new: Counter[tuple[str, str]] = Counter()
    for base, _ in pairs:
        new.update(common - _labels_of(base).items())
    found = {key: value for (key, value), count in sorted(new.items()) if count > _FEW}
    if not found:
        return None
    templates = [
        _labels_of(item["spec"]["template"]) for item in wanted if item["kind"] in WITH_PODS
    ]
    # Kustomize also labels volumeClaimTemplates when it labels pod templates.
    claims = any("volumeClaimTemplates" in item["spec"] for item in wanted if "spec" in item)
    inner = {
        key: value
        for key, value in found.items()
        if templates and not claims and all(own.get(key) == value for own in templates)
    }
    outer = {key: value for key, value in found.items() if key not in inner}

    def change(item: Object) -> Object:
        item = {**item, "metadata": _labelled(item["metadata"], found)}
        if item["kind"] not in WITH_PODS or not inner:
            return item
        template = item["spec"]["template"]
        template = {**template, "metadata": _labelled(template.get("metadata", {}), inner)}
        return {**item, "spec": {**item["spec"], "template": template}}

    entries: list[Object] = []
    if outer:
        entries.append({"pairs": outer})
    if inner:
        entries.append({"pairs": inner, "includeTemplates": True})
    return Field("labels", entries, change)


def _labels_of(item: Object) -> dict[str, str]:
    """Return the labels of an object or a template; a patch may have removed them."""
    found: dict[str, str] = item.get("metadata", {}).get("labels", {})
    return found


def _labelled(metadata: Object, more: dict[str, str]) -> Object:
    return {**metadata, "labels": {**metadata.get("labels", {}), **more}}


# -- images -------------------------------------------------------------------------------------


def images(pairs: list[Pair], wanted: list[Object]) -> Field | None:
    """Return the field that replaces images, for those that become the same one everywhere."""
    wishes: dict[str, set[str]] = {}
    for base, item in pairs:
        others = _images(item)
        for place, image in _images(base).items():
            if place in others:
                wishes.setdefault(split(image)[0], set()).add(others[place])
    finals = {image for item in wanted for image in _images(item).values()}
    olds = {image for base, _ in pairs for image in _images(base).values()}
    used: list[Object] = []
    for name, wish in sorted(wishes.items()):
        entry = _entry(name, next(iter(wish)))
        if len(wish) > 1 or entry is None:
            continue
        stays = all(_exchange(image, [entry]) == image for image in finals)
        if stays and any(_exchange(image, [entry]) != image for image in olds):
            used.append(entry)
    if not used:
        return None

    def change(item: Object) -> Object:
        return _with_images(item, used)

    return Field("images", used, change)


def _entry(name: str, image: str) -> Object | None:
    new, tag, digest = split(image)
    entry: Object = {"name": name}
    if new != name:
        entry["newName"] = new
    if tag:
        entry["newTag"] = tag
    if digest:
        entry["digest"] = digest
    return entry if _exchange(name, [entry]) == image else None


def _exchange(image: str, entries: list[Object]) -> str:
    """Return an image as changed by Kustomize."""
    for entry in entries:
        pattern = rf"{entry['name']}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?"
        if re.fullmatch(pattern, image):
            name, tag, digest = split(image)
            name = entry.get("newName", name)
            if "newTag" in entry or "digest" in entry:
                tag, digest = entry.get("newTag", ""), entry.get("digest", "")
            image = f"{name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
    return image


def _containers(item: Object) -> Iterator[tuple[str, int, Object]]:
    pod = (
        item.get("spec", {}).get("template", {}).get("spec") if item["kind"] in WITH_PODS else None
    )
    for field in ("initContainers", "containers"):
        for number, container in enumerate(pod.get(field, ()) if pod else ()):
            if "image" in container:
                yield field, number, container


def _images(item: Object) -> dict[tuple[str, str], str]:
    return {
        (field, container["name"]): container["image"] for field, _, container in _containers(item)
    }


def _with_images(item: Object, entries: list[Object]) -> Object:
    if item["kind"] not in WITH_PODS:
        return item
    spec = item["spec"]
    pod = dict(spec["template"]["spec"])
    for field, number, container in [*_containers(item)]:
        image = _exchange(container["image"], entries)
        if image != container["image"]:
            pod[field] = [*pod[field]]
            pod[field][number] = {**container, "image": image}
    return {**item, "spec": {**spec, "template": {**spec["template"], "spec": pod}}}


# -- replicas -----------------------------------------------------------------------------------


def replicas(pairs: list[Pair], wanted: list[Object]) -> Field | None:
    """Return the field that sets replica counts."""
    counts = {
        item["metadata"]["name"]: item["spec"]["replicas"]
        for base, item in pairs
        if item["kind"] in WITH_PODS
        and type(item["spec"].get("replicas")) is int
        and base["spec"].get("replicas") != item["spec"]["replicas"]
    }
    for item in wanted:
        name = item["metadata"]["name"]
        if item["kind"] in WITH_PODS and item["spec"].get("replicas") != counts.get(name):
            counts.pop(name, None)
    if not counts:
        return None

    def change(item: Object) -> Object:
        count = counts.get(item["metadata"]["name"])
        if count is None or item["kind"] not in WITH_PODS:
            return item
        return {**item, "spec": {**item["spec"], "replicas": count}}

    entries = [{"name": name, "count": count} for name, count in sorted(counts.items())]
    return Field("replicas", entries, change)
