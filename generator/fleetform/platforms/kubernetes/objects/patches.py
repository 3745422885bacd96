"""Object patches: the last change to a built object, checked against the schema of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fleetform.platforms.kubernetes.model import FleetPlan, ObjectPatch
from fleetform.platforms.kubernetes.objects import Unit, operations
from fleetform.platforms.kubernetes.objects.changes import Applied, Change, differences
from fleetform.platforms.kubernetes.objects.judged import judged, named, problem, trespasses
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.platforms.kubernetes.objects.operations import Budget, TooBigError
from fleetform.problems import Problem, did_you_mean
from fleetform.records import NamedTuple
from fleetform.tree import at, dotted

IDENTITY = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""What no patch may change: it would be another object."""


class Patched(NamedTuple):
    """Units after their patches, what each patch did, and what is wrong with them."""

    units: tuple[Unit, ...]
    applied: tuple[Applied, ...]
    problems: tuple[Problem, ...]


def apply(plan: FleetPlan, units: tuple[Unit, ...]) -> Patched:
    """Apply the patches of specs, each to its own objects, then the environment's."""
    own = {(item.namespace, item.name): item.patches for item in plan.workloads}
    shared = tuple(plan.patches)
    everything = [*shared, *(patch for patches in own.values() for patch in patches)]
    if not everything:
        return Patched(units, (), ())
    applied: list[Applied] = []
    problems: list[Problem] = []
    used: set[int] = set()
    found = []
    for unit in units:
        mine = own.get((unit.namespace, unit.workload), ())
        objects = []
        for item in unit.objects:
            done = _patched(unit, item, (mine, shared), digests=plan.digests)
            objects.append(done.manifest)
            applied += done.applied
            problems += done.problems
            used |= done.used
        found.append(unit._replace(objects=tuple(objects)))
    idle = [patch for patch in everything if id(patch) not in used]
    problems += [_idle(patch, units) for patch in idle]
    return Patched(tuple(found), tuple(applied), tuple(problems))


class _Done(NamedTuple):
    """An object after its patches, what each did, what is wrong, and the patches that matched, by id."""

    manifest: Manifest
    applied: list[Applied]
    problems: list[Problem]
    used: set[int]


def _patched(
    unit: Unit, built: Manifest, stages: Iterable[Sequence[ObjectPatch]], *, digests: bool
) -> _Done:
    """Return an object after the patches that match it: first those of its spec, then the environment's."""
    done = _Done(built, [], [], set())
    budget = Budget()
    for patches in stages:
        if patches:
            done = _staged(unit, done, patches, budget)
    if done.applied:
        done.problems.extend(judged(built, done.manifest, done.applied, digests=digests))
    return done


def _staged(unit: Unit, done: _Done, patches: Iterable[ObjectPatch], budget: Budget) -> _Done:
    """Return an object after the patches of one owner; those of a spec count only if all keep within bounds."""
    manifest = done.manifest
    mine: list[Applied] = []
    for patch in patches:
        if not matches(patch, manifest):
            continue
        done.used.add(id(patch))
        found = _one(manifest, patch, budget)
        if isinstance(found, Problem):
            done.problems.append(found)
            continue
        after, changes = found
        name = manifest["metadata"]["name"]
        mine.append(Applied(patch, unit.namespace, unit.workload, manifest["kind"], name, changes))
        manifest = after
    refused = [*_oversized(manifest, mine)] or [*trespasses(done.manifest, manifest, mine)]
    done.problems.extend(refused)
    if refused:
        return done
    done.applied.extend(mine)
    return done._replace(manifest=manifest)


def _oversized(manifest: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    if applied:
        try:
            operations.check_size(manifest)
        except TooBigError as error:
            yield _too_big(applied[-1].patch, manifest, error)


def matches(patch: ObjectPatch, manifest: Manifest) -> bool:
    """Whether a patch matches an object: everything its target sets must hold."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels")
    return (
        patch.kind == manifest["kind"]
        and patch.name in ("", metadata["name"])
        and patch.namespace in ("", metadata.get("namespace", ""))
        and isinstance(labels, dict | None)
        and all((labels or {}).get(key) == value for key, value in patch.labels.items())
    )


def _one(
    manifest: Manifest, patch: ObjectPatch, budget: Budget
) -> tuple[Manifest, tuple[Change, ...]] | Problem:
    """Return an object after one patch and what it changed, or what is wrong."""
    try:
        after: Manifest = operations.patched(manifest, patch.merge, patch.operations, budget)
        changes = tuple(differences(manifest, after))
    except RecursionError:
        return _too_big(patch, manifest, "it has too many levels")
    except TooBigError as error:
        return _too_big(patch, manifest, error)
    except ValueError as error:
        return _failed(patch, manifest, str(error))
    for path in IDENTITY:
        if at(manifest, path) != at(after, path):
            return problem(
                patch,
                "object-patch-identity",
                f"the patch changes {dotted(path)} of {named(manifest)}, which would make it a different object",
                "change the spec or the environment instead",
            )
    return after, changes


def _too_big(patch: ObjectPatch, manifest: Manifest, why: object) -> Problem:
    return problem(
        patch,
        "object-patch-too-big",
        f"the patch makes {named(manifest)} too big: {why}",
        "say what is needed, rather than copying it",
    )


def _failed(patch: ObjectPatch, manifest: Manifest, reason: str) -> Problem:
    return problem(
        patch,
        "object-patch-failed",
        f"the patch cannot be applied to {named(manifest)}: {reason}",
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
    return problem(patch, "idle-object-patch", "the patch matches no object", hint)
