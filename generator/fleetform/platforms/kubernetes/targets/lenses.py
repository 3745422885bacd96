"""Which place in an object corresponds to which chart value: how object patches reach Helm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.lens import Lens, UncoveredError, Values, steps
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import modules
from fleetform.platforms.kubernetes.objects.changes import Change, differences
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.platforms.kubernetes.objects.pod import MAIN, POD
from fleetform.platforms.kubernetes.targets import values
from fleetform.records import NamedTuple
from fleetform.tree import TreePath

# Places that other values depend on too: changed in the plan, and read from there.
PLAN = {
    steps(f"{MAIN}.image"): "image",
    steps(f"{POD}.terminationGracePeriodSeconds"): "grace",
    steps(f"{MAIN}.lifecycle.preStop.sleep.seconds"): "pre_stop",
}


Built = tuple[Manifest, Manifest, tuple[Lens, ...]]
"""An object as it is built, as patches leave it, and how its values are read back."""


class Uncoverable(NamedTuple):
    """A change of an object that no chart value can make."""

    kind: str
    name: str
    change: Change


def of_workload(
    plan: WorkloadPlan, objects: Iterable[Manifest]
) -> tuple[Values, list[Uncoverable]]:
    """Return the values that produce a workload's patched objects, and changes that none can make."""
    pairs = [*_built("workload", plan, objects)]
    turned: dict[str, Any] = {}
    for before, after, _ in pairs:
        for change in differences(before, after):
            if change.path in PLAN and before["kind"] in WITH_PODS:
                turned[PLAN[change.path]] = change.new or 0
    wanted = values.whole_workload(plan._replace(**turned))
    missing = [*_cover(plan, pairs, wanted, values.defaults("agent"))]
    return values.difference(wanted, values.defaults("agent")), missing


def of_namespace(
    plan: NamespacePlan, objects: Iterable[Manifest]
) -> tuple[Values, list[Uncoverable]]:
    """Return the values that produce a namespace's patched objects, and changes that none can make."""
    pairs = _built("namespace", plan, objects)
    wanted = values.whole_namespace(plan)
    missing = [*_cover(plan, pairs, wanted, values.defaults("namespace"))]
    return values.difference(wanted, values.defaults("namespace")), missing


def _built(owner: str, plan: Any, objects: Iterable[Manifest]) -> Iterator[Built]:
    """Yield each object before and after patches, with the lenses of the module that built it.

    Two modules may build objects of a kind, such as a Role: the values of one are not those of the other.
    """
    made = ((module, manifest) for module in modules(owner) for manifest in module.build(plan))
    for (module, before), after in zip(made, objects, strict=True):
        yield before, after, getattr(module, "LENSES", {}).get(before["kind"], ())


def _cover(
    plan: Any,
    pairs: Iterable[Built],
    wanted: Values,
    default: Values,
) -> Iterator[Uncoverable]:
    """Write what patches changed into the values; yield changes without a value."""
    for before, after, lenses in pairs:
        kind, name = before["kind"], before["metadata"]["name"]
        found: dict[Lens, list[Change]] = {}
        for change in differences(before, after):
            lens = _lens_for(plan, lenses, change.path)
            if lens is not None:
                found.setdefault(lens, []).append(change)
            elif change.path not in PLAN or isinstance(plan, NamespacePlan):
                yield Uncoverable(kind, name, change)
        for lens, changes in found.items():
            try:
                _put(wanted, default, lens, lens.read(plan, _at(after, lens.path)))
            except UncoveredError:
                yield from (Uncoverable(kind, name, change) for change in changes)


def _lens_for(plan: Any, lenses: Iterable[Lens], path: TreePath) -> Lens | None:
    """Return the lens closest around a place, None if there is none."""
    nearest: Lens | None = None
    for lens in lenses:
        depth = len(lens.path)
        if path[:depth] != lens.path or (nearest and depth < len(nearest.path)):
            continue
        if lens.first is not None:
            step = path[depth] if len(path) > depth else -1
            if not isinstance(step, int) or step < lens.first(plan):
                continue
        nearest = lens
    return nearest


def _at(node: Any, path: TreePath) -> Any:
    for step in path:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def _put(wanted: Values, default: Values, lens: Lens, value: Any) -> None:
    """Set a value. Raises UncoveredError if the chart would merge a default below it."""
    *above, last = lens.value
    for step in above:
        wanted[step] = dict(wanted[step])  # it may be the chart's default
        wanted, default = wanted[step], default[step]
    own = default[last]
    if value is None:
        value = type(own)()
    if lens.partial:
        value = {**wanted[last], **value}
    if not _holds(value, own):
        raise UncoveredError
    wanted[last] = value


def _holds(value: Any, own: Any) -> bool:
    """Whether a map has all keys of the chart's own, which Helm would merge below it."""
    if not isinstance(own, dict) or not own:
        return True
    return isinstance(value, dict) and all(
        key in value and _holds(value[key], below) for key, below in own.items()
    )


@cache
def of_kinds(owner: str) -> dict[str, tuple[Lens, ...]]:
    """Return the lenses of every kind that a workload or a namespace has."""
    return {
        kind: lenses
        for module in modules(owner)
        for kind, lenses in getattr(module, "LENSES", {}).items()
    }
