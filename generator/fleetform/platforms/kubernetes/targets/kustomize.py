"""Kustomize: a base rendered from the abstract root, and an overlay with what an environment changes.

Each workload has its own kustomization in both; those above only combine them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleetform import emit, targets
from fleetform.files import File, Files, Folders, Verbatim, generated
from fleetform.forks import Beside
from fleetform.platforms.kubernetes.build import Base, Build
from fleetform.platforms.kubernetes.kinds import BUILT_IN_GROUPS
from fleetform.platforms.kubernetes.objects import Manifest, Unit
from fleetform.platforms.kubernetes.targets import transformers
from fleetform.platforms.kubernetes.targets.manifests import KUSTOMIZATION, kustomization, own_names
from fleetform.platforms.kubernetes.targets.overlay import Difference, has_leading_tab
from fleetform.platforms.kubernetes.targets.transformers import Field, Object, Pair
from fleetform.records import NamedTuple

BASE = "kustomize/base"
RESOURCES = "resources.yaml"
SHARED = "_namespace"
"""Folder of what a namespace has once; no workload can be called so."""

_END = "# The line break above belongs to the text.\n"
"""Kustomize strips white space from the end of a patch, even where it ends a text."""


class Part(NamedTuple):
    """The contents of one kustomization, for a workload or a namespace."""

    namespace: str
    name: str
    source: str
    objects: tuple[Manifest, ...]

    @property
    def path(self) -> str:
        """Return its folder."""
        return f"{self.namespace}/{self.name}"


def folders(build: Build) -> Folders:
    """Return `kustomize/overlays/ENV`, and `kustomize/base` if there is an abstract root."""
    parts = [*_parts(build.units)]
    overlay = targets.folder("kustomize", build.plan.environment)
    base = build.base()
    if base is None:
        return {overlay: _tree(parts, _whole(parts))}
    half = len(parts) // 2
    with Beside(lambda: _overlays(base, parts[half:]), len(parts)) as rest:
        found = _overlays(base, parts[:half]) | rest.result()
    whole = [*_parts(base.units)]
    texts: dict[str, File | Verbatim] = {path: Verbatim(text) for path, text in found.items()}
    return {BASE: _tree(whole, _whole(whole)), overlay: _tree(parts, texts)}


def _overlays(base: Base, parts: Iterable[Part]) -> dict[str, str]:
    """Return the texts of the overlays of some parts, or of all that they contain if the base has no twin."""
    bases = {part.path: part for part in _parts(base.units)}
    found: dict[str, str] = {}
    for part in parts:
        twin = bases.get(f"{base.namespaces[part.namespace]}/{part.name}")
        files = _whole([part]) if twin is None else _overlay(twin, part)
        found |= {path: file.text for path, file in files.items()}
    return found


def _parts(units: Iterable[Unit]) -> Iterable[Part]:
    """Return the units by folder; a Namespace is put with the shared objects of the namespace."""
    spaces: dict[str, Part] = {}
    workloads: list[Part] = []
    for unit in units:
        if unit.workload:
            workloads.append(Part(unit.namespace, unit.workload, unit.source, unit.objects))
            continue
        for item in unit.objects:
            name = unit.namespace or item["metadata"]["name"]
            space = spaces.get(name, Part(name, SHARED, unit.source, ()))
            spaces[name] = space._replace(objects=(*space.objects, item))
    return sorted([*spaces.values(), *workloads], key=lambda part: part.path)


def _whole(parts: Iterable[Part]) -> dict[str, File]:
    """Return the files of parts that contain all of their objects."""
    found: dict[str, File] = {}
    for part in parts:
        names = own_names("" if part.name == SHARED else part.name, part.objects)
        found[f"{part.path}/{RESOURCES}"] = File(generated(part.source), list(part.objects), names)
        found[f"{part.path}/{KUSTOMIZATION}"] = _kustomization(
            part.source, {"resources": [RESOURCES]}
        )
    return found


def _tree(parts: Iterable[Part], found: Mapping[str, File | Verbatim]) -> Files:
    """Return files with the kustomizations above them."""
    names: dict[str, list[str]] = {}
    for part in parts:
        names.setdefault(part.namespace, []).append(part.name)
    held = {f"{space}/{KUSTOMIZATION}": sorted(members) for space, members in names.items()}
    if names:
        held[KUSTOMIZATION] = sorted(names)
    return {**found} | {
        path: File(generated("the folders beside it"), [kustomization(resources=members)])
        for path, members in held.items()
    }


def _kustomization(source: str, body: Mapping[str, Any]) -> File:
    return File(generated(source), [kustomization(**body)])


def _overlay(base: Part, part: Part) -> dict[str, File]:
    """Return the files of a part that builds on its twin in the base, or contains everything if it cannot."""
    pairs, added, lacking = _paired(base, part)
    fields = _fields(base, part, pairs)
    patched = [pair for pair in _started(pairs, fields) if pair.base != pair.wanted]
    if not pairs or any(has_leading_tab(pair) for pair in patched):
        return _whole([part])
    resources = [f"../../../../base/{base.path}"]
    files: dict[str, File] = {}
    if added:
        resources.append(RESOURCES)
        files[f"{part.path}/{RESOURCES}"] = File(generated(part.source), added)
    body: dict[str, Any] = {"resources": resources}
    body |= {field.name: field.value for field in fields}
    patches = [patch for pair in patched for patch in _patches(pair, base.namespace)]
    patches += [_merge({"$patch": "delete", **_head(item)}) for item in lacking]
    if patches:
        body["patches"] = patches
    files[f"{part.path}/{KUSTOMIZATION}"] = _kustomization(part.source, body)
    return files


def _paired(base: Part, part: Part) -> tuple[list[Pair], list[Object], list[Object]]:
    """Return the objects in both, those only in the environment, and those only in the base."""
    old = {_identity(item, base.namespace): item for item in base.objects}
    pairs: list[Pair] = []
    added: list[Object] = []
    for item in part.objects:
        twin = old.pop(_identity(item, part.namespace), None)
        if twin is None:
            added.append(item)
        else:
            pairs.append(Pair(twin, item))
    return pairs, added, [*old.values()]


def _identity(item: Manifest, namespace: str) -> tuple[str, str, str, str]:
    """Return an object's identity; its namespace may differ between the two sides."""
    name = item["metadata"]["name"]
    if item["kind"] == "Namespace":
        name = ""
    space = item["metadata"].get("namespace", "")
    return item["apiVersion"], item["kind"], "" if space == namespace else space, name


def _fields(base: Part, part: Part, pairs: list[Pair]) -> list[Field]:
    """Return the kustomization fields that make patches unnecessary."""
    wanted = list(part.objects)
    found: list[Field] = []
    if base.namespace != part.namespace:
        accounts = [pair.base["metadata"]["name"] for pair in pairs if _is_account(pair.base)]
        found.append(transformers.namespace(base.namespace, part.namespace, accounts))
        pairs = [Pair(found[0].change(pair.base), pair.wanted) for pair in pairs]
    if all(pair.base == pair.wanted for pair in pairs):
        return found
    for choose in (transformers.labels, transformers.images, transformers.replicas):
        field = choose(pairs, wanted)
        if field is not None:
            found.append(field)
    return found


def _is_account(item: Manifest) -> bool:
    return bool(item["kind"] == "ServiceAccount")


def _started(pairs: Iterable[Pair], fields: Iterable[Field]) -> Iterable[Pair]:
    """Yield pairs of the base as transformed by the fields, and the wanted object."""
    for pair in pairs:
        start = pair.base
        for field in fields:
            start = field.change(start)
        yield Pair(start, pair.wanted)


def _patches(pair: Pair, namespace: str) -> Iterable[Object]:
    """Yield the patches of one object, whose namespace in the base may differ: a merge, then operations."""
    start = pair.base
    change = Difference(start, pair.wanted, mergeable=_is_built_in(start))
    head = _head(start)
    if start["kind"] == "Namespace":
        head["metadata"]["name"] = namespace
    if "namespace" in head["metadata"]:
        head["metadata"]["namespace"] = namespace
    if change.merge:
        yield _merge({**head, **change.merge, "metadata": _metadata(head, change.merge)})
    if change.operations:
        name = head["metadata"]["name"].replace(".", "\\.")  # it is a regular expression
        yield {
            "target": {"kind": head["kind"], "name": name},
            "patch": _text(change.operations),
        }


def _metadata(head: Object, merge: Object) -> Object:
    return {**head["metadata"], **merge.get("metadata", {})}


def _merge(document: Object) -> Object:
    return {"patch": _text(document)}


def _text(patch: object) -> str:
    """Return the text of a patch, with an ending that Kustomize may strip."""
    text = emit.emit(patch)
    return f"{text}{_END}" if _ends_in_line_break(patch) else text.removesuffix("\n")


def _ends_in_line_break(value: Any) -> bool:
    while isinstance(value, dict | list) and value:
        value = value[-1] if isinstance(value, list) else [*value.values()][-1]
    return isinstance(value, str) and value.endswith("\n")


def _head(item: Manifest) -> Object:
    """Return the fields by which Kustomize finds an object, as in the base."""
    metadata = item["metadata"]
    known = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": known}


def _is_built_in(item: Manifest) -> bool:
    return item["apiVersion"].rpartition("/")[0] in BUILT_IN_GROUPS
