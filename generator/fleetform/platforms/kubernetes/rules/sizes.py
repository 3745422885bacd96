"""Annotations that are more than an API server takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetform import kinds
from fleetform.platforms.kubernetes.annotations import MOST, size_of
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import placed
from fleetform.tree import TreePath


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield annotations of a workload or of its pods that are too long together."""
    for document in fleet.of(kinds.WORKFLOW_RUN):
        entries = document.typed.metadata.annotations
        if entries and size_of(entries) > MOST:
            yield _too_long(document, ("metadata", "annotations"), entries)
    for resolved, spec, root in placed(fleet):
        own: tuple[tuple[TreePath, Mapping[str, str]], ...] = (
            (("metadata", "annotations"), resolved.typed.metadata.annotations),
            ((*root, "podTemplate", "annotations"), spec.pod_template.annotations),
        )
        if resolved.kind in kinds.CALLABLE:
            own = (*own, (("spec", "service", "annotations"), spec.service.annotations))
        for path, entries in own:
            if entries and size_of(entries) > MOST:
                yield _too_long(resolved, path, entries)


def _too_long(resolved: Resolved[Any], path: TreePath, entries: Mapping[str, str]) -> Problem:
    longest = max(entries, key=lambda key: len(entries[key]))
    return resolved.problem(
        (*path, longest),
        "annotations-too-long",
        f"the annotations have {size_of(entries)} bytes together",
        hint=f"at most {MOST}, which leaves room for those of Fleetform and of what applies them: put long texts into `configFiles`",
        key=True,
    )
