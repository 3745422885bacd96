"""Object patches: the last change to a built object, checked against the schema of its kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fleetform
from fleetform.platforms.kubernetes import rights
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.model import FleetPlan, ObjectPatch
from fleetform.platforms.kubernetes.objects import Unit, pod_security
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.problems import Problem, did_you_mean
from fleetform.tree import TreePath

_SCHEMAS = Path(fleetform.__file__).parent / "schemas" / "objects"
IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""What no patch may change: it would be another object."""
ROLES = ("Role", "ClusterRole")
_BOUND = "grant permissions in the workload's spec, with `rbac`"
_ACCOUNT = "each workload has its own account: grant it permissions with `rbac`"
_FIXED: dict[str, tuple[tuple[TreePath, str], ...]] = {
    "RoleBinding": ((("roleRef",), _BOUND), (("subjects",), _BOUND)),
    "ClusterRoleBinding": ((("roleRef",), _BOUND), (("subjects",), _BOUND)),
    "ClusterRole": ((("aggregationRule",), _BOUND),),
    **dict.fromkeys(
        WITH_PODS,
        (
            (("spec", "template", "spec", "serviceAccountName"), _ACCOUNT),
            (("spec", "template", "spec", "serviceAccount"), _ACCOUNT),
        ),
    ),
}
"""Who has which rights is nothing that a patch decides."""


class Change(NamedTuple):
    """One leaf that a patch changed; None stands for an absent leaf."""

    path: TreePath
    old: Any
    new: Any


class Applied(NamedTuple):
    """What one patch did to one object."""

    patch: ObjectPatch
    namespace: str
    workload: str
    kind: str
    name: str
    changes: tuple[Change, ...]


class Patched(NamedTuple):
    """Units after their patches, what each patch did, and what is wrong with them."""

    units: tuple[Unit, ...]
    applied: tuple[Applied, ...]
    problems: tuple[Problem, ...]


def apply(plan: FleetPlan, units: tuple[Unit, ...]) -> Patched:
    """Apply the patches of specs, each to its own objects, then the environment's."""
    own = {(item.namespace, item.name): item.patches for item in plan.workloads}
    everything = [*plan.patches, *(patch for patches in own.values() for patch in patches)]
    if not everything:
        return Patched(units, (), ())
    applied: list[Applied] = []
    problems: list[Problem] = []
    used: set[int] = set()
    found = []
    for unit in units:
        patches = [*own.get((unit.namespace, unit.workload), ()), *plan.patches]
        objects = tuple(
            _patched(unit, item, patches, used, applied, problems) for item in unit.objects
        )
        found.append(unit._replace(objects=objects))
    idle = [patch for patch in everything if id(patch) not in used]
    problems += [_idle(patch, units) for patch in idle]
    return Patched(tuple(found), tuple(applied), tuple(problems))


def _patched(
    unit: Unit,
    manifest: Manifest,
    patches: Iterable[ObjectPatch],
    used: set[int],
    applied: list[Applied],
    problems: list[Problem],
) -> Manifest:
    """Return an object after all patches that match it."""
    mine: list[Applied] = []
    before = manifest
    for patch in patches:
        if not matches(patch, manifest):
            continue
        used.add(id(patch))
        try:
            after = _one(manifest, patch)
        except ValueError as error:
            problems.append(_failed(patch, manifest, str(error)))
            continue
        changes = tuple(differences(manifest, after))
        name = manifest["metadata"]["name"]
        mine.append(Applied(patch, unit.namespace, unit.workload, manifest["kind"], name, changes))
        manifest = after
    applied += mine
    if mine:
        problems += _judged(before, manifest, mine)
    return manifest


def matches(patch: ObjectPatch, manifest: Manifest) -> bool:
    """Whether a patch matches an object: everything its target sets must hold."""
    metadata = manifest["metadata"]
    labels = metadata["labels"]
    return (
        patch.kind == manifest["kind"]
        and patch.name in ("", metadata["name"])
        and patch.namespace in ("", metadata.get("namespace", ""))
        and all(labels.get(key) == value for key, value in patch.labels.items())
    )


def _one(manifest: Manifest, patch: ObjectPatch) -> Manifest:
    """Return an object after one patch. Raises ValueError if an operation cannot be applied."""
    if patch.merge is not None:
        merged: Manifest = merge(manifest, patch.merge)
        return merged
    import jsonpatch  # noqa: PLC0415 - few have such patches

    try:
        changed: Manifest = jsonpatch.apply_patch(manifest, list(patch.operations))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        reason = re.sub(r" \(<class '\w+'>\)", "", str(error))  # Python's own types
        raise ValueError(reason or "the operation cannot be applied") from None
    return changed


def merge(lower: Any, upper: Any) -> Any:
    """Merge by RFC 7386: maps by key, null deletes, everything else replaces."""
    if not isinstance(upper, dict):
        return upper
    found = dict(lower) if isinstance(lower, dict) else {}
    for key, value in upper.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def differences(old: Any, new: Any, path: TreePath = ()) -> Iterator[Change]:
    """Yield the leaves that differ; for lists of different lengths, what was added or removed."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            before = old[number] if number < len(old) else None
            after = new[number] if number < len(new) else None
            yield from differences(before, after, (*path, number))
    elif old != new or type(old) is not type(new):
        yield Change(path, old, new)


# -- what can be wrong ---------------------------------------------------------------------------


def _judged(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches broke, each at the patch that changed it last."""
    for path in IDENTITY:
        if _at(before, path) != _at(after, path):
            patch = _guilty(applied, path)
            yield _problem(
                patch,
                "object-patch-identity",
                f"the patch changes {dotted(path)} of {_named(before)}, which would make it a different object",
                "change the spec or the environment instead",
            )
            return
    errors = [*validator(after["kind"]).iter_errors(after)]
    if not errors:
        yield from _unsafe(before, after, applied)
        yield from _entitled(before, after, applied)
    for error in errors:
        path = tuple(error.instance_path)
        yield _problem(
            _guilty(applied, path),
            "object-patch-invalid",
            f"{_named(before)} is not valid after the patch: {dotted(path) or 'the object'}: {error.message}",
            f"see `kubectl explain {after['kind'].lower()}`",
        )


def _unsafe(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches made of a pod that a restricted namespace refuses."""
    was = {*_violations(before)}
    for found in _violations(after):
        if found in was:
            continue
        path = ("spec", "template", "spec", *found.path)
        yield _problem(
            _guilty(applied, path),
            "pod-security",
            f"{_named(after)} violates Pod Security `restricted` ({found.control}) after the patch: "
            f"{dotted(path)}: {found.says}",
            "remove that change: every namespace enforces the standard",
        )


def _entitled(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield permissions that no spec could ask for: patches grant none that its `rbac` does not confirm."""
    for path, hint in _FIXED.get(after["kind"], ()):
        if _at(before, path) != _at(after, path):
            yield _problem(
                _guilty(applied, path),
                "rbac-patched",
                f"the patch changes {dotted(path)} of {_named(before)}, which would give it another account's permissions",
                hint,
            )
    if after["kind"] in ROLES:
        yield from _granted(before, after, applied)


def _granted(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    confirmed = {name for rule in before["rules"] for _, name in rights.dangers(rule)}
    for number, rule in enumerate(after.get("rules") or ()):
        for fault in rights.faults(rule):
            path = ("rules", number, *fault.path)
            message = f"{_named(after)} is invalid after the patch: {dotted(path)}: {fault.message}"
            yield _problem(_guilty(applied, path), fault.code, message, fault.hint)
        for where, name in rights.dangers(rule):
            path = ("rules", number, *where)
            if name not in confirmed:
                yield _problem(
                    _guilty(applied, path),
                    "rbac-dangerous",
                    f"`{name}` lets {_named(after)} exceed its own permissions after the patch: {dotted(path)}",
                    "remove it, or grant it in the spec: `rbac` with `allowDangerous`",
                )


def _violations(workload: Manifest) -> Iterator[pod_security.Violation]:
    if workload["kind"] in WITH_PODS:
        template = workload["spec"]["template"]
        annotations = template["metadata"].get("annotations")
        yield from pod_security.violations(template["spec"], annotations)


def overlap(one: TreePath, other: TreePath) -> bool:
    """Whether two places are the same, or one contains the other."""
    return one[: len(other)] == other or other[: len(one)] == one


def _at(node: Any, path: TreePath) -> Any:
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _guilty(applied: list[Applied], path: TreePath) -> ObjectPatch:
    """Return the last patch that changed a place, or something in or around it."""
    near = (item for item in reversed(applied) if any(overlap(c.path, path) for c in item.changes))
    return next(near, applied[-1]).patch


@cache
def validator(kind: str) -> Any:
    """Return a validator for a kind that is built here."""
    from fleetform.jsonschemas import jsonschema_rs  # noqa: PLC0415

    return jsonschema_rs.Draft4Validator(
        json.loads((_SCHEMAS / f"{kind.lower()}.json").read_bytes())
    )


def _named(manifest: Manifest) -> str:
    return f"{manifest['kind']} `{manifest['metadata']['name']}`"


def dotted(path: TreePath) -> str:
    """Return a path in the usual notation: `spec.containers[0].image`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _failed(patch: ObjectPatch, manifest: Manifest, reason: str) -> Problem:
    return _problem(
        patch,
        "object-patch-failed",
        f"the patch cannot be applied to {_named(manifest)}: {reason}",
        "check its paths against the rendered object",
    )


def _idle(patch: ObjectPatch, units: tuple[Unit, ...]) -> Problem:
    built = [item for unit in units for item in unit.objects]
    kinds = sorted({item["kind"] for item in built})
    if patch.kind not in kinds:
        hint = did_you_mean(patch.kind, kinds, noun="rendered kinds")
    else:
        names = {item["metadata"]["name"] for item in built if item["kind"] == patch.kind}
        hint = did_you_mean(patch.name, sorted(names), noun=f"{patch.kind}s")
    return _problem(patch, "idle-object-patch", "the patch matches no object", hint)


def _problem(patch: ObjectPatch, code: str, message: str, hint: str) -> Problem:
    mark = patch.mark
    return Problem("error", code, message, mark.file, mark.line, mark.column, patch.path, hint)
