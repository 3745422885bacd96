"""Values of the two charts, one file per release, and the order in which releases are installed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, generated
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import Unit
from fleetform.platforms.kubernetes.objects.changes import overlap
from fleetform.platforms.kubernetes.targets import lenses, values
from fleetform.platforms.kubernetes.targets.lenses import Uncoverable
from fleetform.problems import Mark, Problem
from fleetform.records import NamedTuple
from fleetform.tree import dotted

SHARED = "fleetform-namespace"
"""The release of what a namespace has once."""
LONGEST_NAME = 53
"""Helm keeps ten characters of a label for the revision."""
MOST_BYTES = 1 << 20
"""Of a release: Helm keeps it in a Secret, compressed and then in base64."""
CHART_BYTES = 64 << 10
"""Room for the chart itself in that Secret."""
SMALL = 256 << 10
"""Whoever has less text than this need not be measured."""
RANK = {
    "collector": 1,
    "memory-store": 1,
    "mcp-server": 2,
    "agent": 3,
    "knowledge": 4,
    "workflow": 4,
    "fleet-page": 4,
    "workflow-run": 5,
    "backup": 6,
    "drill": 6,
}
"""Installation order of releases that do not call each other: where traces go, stores, servers, agents, what fills their collections."""


class Release(NamedTuple):
    """One `helm upgrade --install`; `values` is the path of its file below the folder."""

    name: str
    namespace: str
    chart: str
    source: str
    values: str
    document: dict[str, Any]


def folders(build: Build) -> Folders:
    """Return `charts/values/ENV`, a file per release."""
    files = {item.values: File(_header(item), [item.document]) for item in releases(build)}
    return {targets.folder("helm", build.plan.environment): files}


def _header(release: Release) -> str:
    return f"{generated(release.source)}\n# Values of charts/{release.chart}."


def releases(build: Build) -> tuple[Release, ...]:
    """Return all releases of an environment, each after those it depends on."""
    units = {(unit.namespace, unit.workload): unit for unit in build.units}
    patched = {(item.namespace, item.workload) for item in build.applied}
    found: list[Release] = []
    for space in build.plan.namespaces:
        unit = units.get((space.name, ""))
        if unit is not None:
            changed = unit if (space.name, "") in patched else None
            found.append(_release(SHARED, unit, "namespace", of_namespace(space, changed)[0]))
    for plan in _ordered(build.plan.workloads):
        key = plan.namespace, plan.name
        changed = units[key] if key in patched else None
        found.append(_release(plan.name, units[key], "agent", of_workload(plan, changed)[0]))
    return tuple(found)


def of_namespace(plan: NamespacePlan, patched: Unit | None) -> tuple[Values, list[Uncoverable]]:
    """Return the values of a namespace's release, and patched fields without a value."""
    if patched is None:
        return values.of_namespace(plan), []
    return lenses.of_namespace(plan, patched.objects)


def of_workload(plan: WorkloadPlan, patched: Unit | None) -> tuple[Values, list[Uncoverable]]:
    """Return the values of a workload's release, and patched fields without a value."""
    if patched is None:
        return values.of_workload(plan), []
    return lenses.of_workload(plan, patched.objects)


def _release(name: str, unit: Unit, chart: str, document: Values) -> Release:
    path = f"{unit.namespace}/{name}.yaml"
    return Release(name, unit.namespace, chart, unit.source, path, document)


def _ordered(workloads: Iterable[WorkloadPlan]) -> Iterator[WorkloadPlan]:
    """Yield callees before their callers; cycles in a stable order."""
    ranked = sorted(workloads, key=lambda plan: (RANK[plan.component], plan.namespace, plan.name))
    waiting = {(plan.namespace, plan.name): plan for plan in ranked}
    while waiting:
        stack = [next(iter(waiting.values()))]
        entered = {(stack[0].namespace, stack[0].name)}
        while stack:
            plan = stack[-1]
            ahead = next((k for k in plan.callees if k in waiting and k not in entered), None)
            if ahead is None:
                yield waiting.pop((plan.namespace, plan.name))
                stack.pop()
            else:
                entered.add(ahead)
                stack.append(waiting[ahead])


# -- limits of Helm -------------------------------------------------------------------------------


def problems(build: Build) -> Iterator[Problem]:
    """Yield what makes a release impossible: its name, its size, patches of fields without a value."""
    yield from _beside_values(build)
    units = {(unit.namespace, unit.workload): unit for unit in build.units}
    for plan in build.plan.workloads:
        if len(plan.name) > LONGEST_NAME:
            yield _problem(
                plan.mark,
                "release-name-too-long",
                f"`{plan.name}` has {len(plan.name)} characters, the name of a Helm release at most {LONGEST_NAME}",
                "shorten the name, or remove `helm` from the environment's targets",
            )
        if plan.name == SHARED:
            yield _problem(
                plan.mark,
                "release-name-taken",
                f"the name `{SHARED}` is reserved for the namespace's own release",
                "choose another name",
            )
        size = _size(plan, units[plan.namespace, plan.name])
        if size > MOST_BYTES:
            yield _problem(
                plan.mark,
                "release-too-big",
                f"the release of `{plan.name}` would have about {size} bytes, but Helm stores it in a Secret of at most 1 MiB",
                "shorten the prompt, or remove `helm` from the environment's targets",
            )


def _beside_values(build: Build) -> Iterator[Problem]:
    """Yield fields that object patches change and that are not chart values, each at its patch."""
    patched = {(item.namespace, item.workload) for item in build.applied}
    plans = {(plan.namespace, plan.name): plan for plan in build.plan.workloads}
    spaces = {plan.name: plan for plan in build.plan.namespaces}
    for unit in build.units:
        key = unit.namespace, unit.workload
        if key not in patched or not unit.namespace:
            continue
        if unit.workload:
            _, missing = of_workload(plans[key], unit)
        else:
            _, missing = of_namespace(spaces[unit.namespace], unit)
        yield from (_beside(build, unit, item) for item in missing)


def _beside(build: Build, unit: Unit, item: Uncoverable) -> Problem:
    patch = next(
        done.patch
        for done in reversed(build.applied)
        if (done.namespace, done.workload) == (unit.namespace, unit.workload)
        and (done.kind, done.name) == (item.kind, item.name)
        and any(overlap(change.path, item.change.path) for change in done.changes)
    )
    mark = patch.mark
    return Problem(
        "error",
        "object-patch-no-value",
        f"the patch changes {dotted(item.change.path)} of {item.kind} `{item.name}`, for which the chart has no value",
        mark.file,
        mark.line,
        mark.column,
        patch.path,
        "use a field of the spec if there is one, or remove `helm` from the environment's targets",
    )


def _size(plan: WorkloadPlan, unit: Unit) -> int:
    """Return the approximate size in bytes that Helm stores for a release, 0 if it is clearly small enough."""
    text = sum(len(part) for part in plan.config.data.values()) if plan.config else 0
    if text < SMALL:
        return 0
    # The manifest is another JSON string in the release.
    manifest = json.dumps(json.dumps(unit.objects))
    kept = zlib.compress((json.dumps(values.of_workload(plan)) + manifest).encode(), 9)
    return CHART_BYTES + -(-len(kept) // 3) * 4


def _problem(mark: Mark, code: str, message: str, hint: str) -> Problem:
    return Problem("error", code, message, mark.file, mark.line, mark.column, "metadata.name", hint)
