"""Probes: exactly one form each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_deployed
from fleetform.resolve.probes import FORMS, PROBES, form
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

PLACE: TreePath = ("spec", "healthCheck")


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield probes with two forms, and sections of a probe without one."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in filter(is_deployed, fleet.of(kind)):
            check = resolved.spec.health_check
            yield from _forms(resolved, check, PLACE)
            for probe in PROBES:
                section = getattr(check, probe.section)
                if section is None:
                    continue
                place = (*PLACE, probe.section)
                yield from _forms(resolved, section, place)
                if form(section) is None:
                    yield _said(
                        resolved,
                        place,
                        f"`{probe.section}` has no form",
                        f"give it one of {', '.join(FORMS)}, or remove it",
                    )
                elif getattr(check, probe.attribute):
                    yield _said(
                        resolved,
                        place,
                        f"`{probe.path}` asks for the same probe over HTTP",
                        "remove one of the two",
                    )


def _forms(resolved: Resolved[Any], action: Any, path: TreePath) -> Iterator[Problem]:
    given = [name for name, attribute in FORMS.items() if getattr(action, attribute) is not None]
    if len(given) > 1:
        yield _said(
            resolved,
            path,
            f"`{path[-1]}` has {len(given)} forms: {', '.join(given)}",
            "keep one of them",
        )


def _said(resolved: Resolved[Any], path: TreePath, message: str, hint: str) -> Problem:
    return resolved.problem(path, "probe-form", message, hint=hint, key=True)
