"""Rules of object patches: each has exactly one form."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.kinds import WORKLOADS
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import VERBATIM, Map, at, problem_at

TAKES = {"from": ("move", "copy"), "value": ("add", "replace", "test")}
"""Which operations of RFC 6902 take a member."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield object patches with neither form, or with both."""
    yield from _forms(fleet.environment_tree)
    for kind in WORKLOADS:
        for resolved in fleet.of(kind):
            yield from _forms(resolved.tree)


def _forms(tree: Map) -> Iterator[Problem]:
    for number, patch in enumerate(at(tree, ("spec", VERBATIM), ())):
        given = [name for name in ("merge", "json6902") if patch.get(name) is not None]
        if len(given) != 1:
            yield problem_at(
                tree,
                ("spec", VERBATIM, number),
                "object-patch-form",
                f"the patch has {'both forms' if given else 'neither `merge` nor `json6902`'}",
                hint="give one of `merge` and `json6902`",
            )
        for place, operation in enumerate(patch.get("json6902") or ()):
            for member, operations in TAKES.items():
                if member in operation and operation["op"] not in operations:
                    yield problem_at(
                        tree,
                        ("spec", VERBATIM, number, "json6902", place, member),
                        "not-used",
                        f"`{member}` has no effect: `{operation['op']}` does not use it",
                        hint="remove it",
                        severity="warning",
                        key=True,
                    )
