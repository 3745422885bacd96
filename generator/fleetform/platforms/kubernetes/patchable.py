"""What a spec may patch in its own objects: the few places that mean nothing to anybody else.

Everything else in an object says who reaches whom, what runs where, as whom and with what: the spec
has fields for what its author decides there, and `environments/` decides the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fleetform.lazy import regex
from fleetform.platforms.kubernetes import obeyed
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.tree import TreePath, leaves

ITEM = "[]"
"""Any item of a list."""
KEY = "<key>"
"""A new label or annotation that no controller obeys."""
REST = "**"
"""Everything below."""
OURS = frozenset({"app"})
"""The label without a domain that Fleetform sets itself."""

_KEYS = (("metadata", "labels", KEY), ("metadata", "annotations", KEY))
_CONTAINER = ("spec", "template", "spec", "containers", ITEM)
_TIMINGS = (
    "initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold",
)  # fmt: skip
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_PODS: tuple[TreePath, ...] = (
    *_KEYS,
    ("spec", "minReadySeconds"),
    ("spec", "template", "metadata", "labels", KEY),
    ("spec", "template", "metadata", "annotations", KEY),
    (*_CONTAINER, "terminationMessagePath"),
    (*_CONTAINER, "terminationMessagePolicy"),
    *((*_CONTAINER, probe, field) for probe in _PROBES for field in _TIMINGS),
)
_KEDA_AUTOSCALER = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", REST)

PLACES: Mapping[str, tuple[TreePath, ...]] = {
    **{kind: _PODS for kind in WITH_PODS if kind != "Job"},  # whose pods cannot be changed
    "Deployment": (*_PODS, ("spec", "progressDeadlineSeconds")),
    "Service": (
        ("metadata", "labels", KEY),
        ("spec", "sessionAffinity"),
        ("spec", "sessionAffinityConfig", REST),
        ("spec", "internalTrafficPolicy"),
    ),
    "HorizontalPodAutoscaler": (*_KEYS, ("spec", "behavior", REST)),
    "ScaledObject": (
        ("metadata", "labels", KEY),
        ("spec", "pollingInterval"),
        ("spec", "cooldownPeriod"),
        ("spec", "initialCooldownPeriod"),
        _KEDA_AUTOSCALER,
    ),
    "ServiceMonitor": (
        *_KEYS,
        ("spec", "endpoints", ITEM, "interval"),
        ("spec", "endpoints", ITEM, "scrapeTimeout"),
    ),
}
"""By kind; a kind that is not here is none of a spec's to patch."""


def allows(kind: str, path: TreePath, *, added: bool = True) -> bool:
    """Whether a spec may change the leaf at `path`; `added`: it was not there before."""
    return any(_fits(place, path, added=added) for place in PLACES.get(kind, ()))


def _fits(place: TreePath, path: TreePath, *, added: bool) -> bool:
    if place[-1] == REST:
        head = place[:-1]
        return len(path) >= len(head) and _same(head, path[: len(head)], added=added)
    return len(place) == len(path) and _same(place, path, added=added)


def _same(place: TreePath, path: TreePath, *, added: bool) -> bool:
    return all(_step(want, step, added=added) for want, step in zip(place, path, strict=True))


def _step(want: str | int, step: str | int, *, added: bool) -> bool:
    if want == ITEM:
        return isinstance(step, int)
    if want == KEY:
        is_own = isinstance(step, str) and step not in OURS and not obeyed.decides(step)
        return added and is_own
    return want == step


def _leads_to_one(kind: str, path: TreePath) -> bool:
    """Whether places that a spec may patch are below `path`: an empty map there says nothing, an item does."""
    return (
        path[-1:] != ()
        and isinstance(path[-1], str)
        and any(
            len(place) > len(path) and _same(place[: len(path)], path, added=True)
            for place in PLACES.get(kind, ())
        )
    )


def beyond(kind: str, before: Any, after: Any) -> Iterator[TreePath]:
    """Yield the leaves in which two objects of a kind differ and no spec may change."""
    for path, added, leaf in _changed(before, after, ()):
        if not (leaf == {} and _leads_to_one(kind, path)) and not allows(kind, path, added=added):
            yield path


_ABSENT = object()


def _changed(old: Any, new: Any, path: TreePath) -> Iterator[tuple[TreePath, bool, Any]]:
    """Yield the leaves that differ, whether they are new, and their values; null is a value."""
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _changed(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            one = old[number] if number < len(old) else _ABSENT
            other = new[number] if number < len(new) else _ABSENT
            yield from _changed(one, other, (*path, number))
    elif old != new or type(old) is not type(new):
        for value in (old, new):
            if value is not _ABSENT:
                yield from ((place, old is _ABSENT, leaf) for place, leaf in leaves(value, path))


def places(kind: str) -> list[str]:
    """Return the places of a kind in words, for people."""
    return [_dotted(place) for place in PLACES.get(kind, ())]


def may(kind: str) -> str:
    """Return what a spec may patch in a kind, in words."""
    found = places(kind)
    if len(found) > _MANY:
        return f"docs/environments.md lists what a spec may patch in a {kind}"
    return (
        f"in a {kind} a spec may patch {', '.join(found)}"
        if found
        else f"a spec may patch no {kind}"
    )


_MANY = 5
"""More places than that are no hint any more."""


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place)).replace(f".{ITEM}", ITEM).replace(f".{REST}", "")


# -- what a patch touches as it is written, without an object --------------------------------------


def trespasses(
    kind: str, merge: Mapping[str, Any] | None, operations: Iterable[Mapping[str, Any]]
) -> list[TreePath]:
    """Return the places that a patch of a kind names and no spec may change, without looking at an object."""
    return [
        place
        for path, value in _named(merge, operations)
        for place, leaf in leaves(value, path)
        if not (leaf == {} and _leads_to_one(kind, place))
        and not allows(kind, place, added=leaf is not None)
    ]


def _named(
    merge: Mapping[str, Any] | None, operations: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[TreePath, Any]]:
    """Yield the places that a patch names, and what it puts there; None if it only removes something."""
    if merge is not None:
        yield from leaves(merge)
    for operation in operations:
        kind = operation["op"]
        if kind == "move":
            yield _pointer(operation.get("from") or ""), None
        if kind in ("copy", "move"):
            yield _pointer(operation["path"]), ""
        elif kind != "test":
            yield _pointer(operation["path"]), operation.get("value")


def _pointer(text: str) -> TreePath:
    """Return the steps of a JSON pointer; what looks like an index becomes one of them, 0."""
    steps = (step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])
    return tuple(0 if step == "-" or _INDEX.fullmatch(step) else step for step in steps)


_INDEX = regex(r"0|[1-9][0-9]*")
