"""Permissions at the Kubernetes API: never a wildcard, dangerous ones only if confirmed by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds, view
from fleetform.platforms.kubernetes import rights
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.workload import Rbac, Workload


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield wildcards and unconfirmed dangerous permissions."""
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            if resolved.spec.rbac is not None:
                yield from _rbac(resolved, resolved.spec.rbac)


def _rbac(resolved: Resolved[Workload], rbac: Rbac) -> Iterator[Problem]:
    confirmed = {name.lower() for name in rbac.allow_dangerous}
    used: set[str] = set()
    for number, found in enumerate(rbac.rules):
        path: TreePath = ("spec", "rbac", "rules", number)
        rule: rights.Rule = view.dump(found)
        for fault in rights.faults(rule):
            yield resolved.problem((*path, *fault.path), fault.code, fault.message, hint=fault.hint)
        for where, value in rights.dangers(rule, cluster=rbac.scope == "cluster"):
            used.add(value)
            if value in confirmed:
                continue
            says = f"`{value}` may let it exceed its own permissions"
            hint = f"remove it, or confirm it with `allowDangerous: [{value}]`"
            if rights.is_of_others(rule, value):
                says = f"`{value}` of every namespace shows it what belongs to others"
                hint = f"use `scope: namespace`, remove it, or confirm it with `allowDangerous: [{value}]`"
            yield resolved.problem((*path, *where), "rbac-dangerous", says, hint=hint)
    for place, name in enumerate(rbac.allow_dangerous):
        if name.lower() not in used:
            yield resolved.problem(
                ("spec", "rbac", "allowDangerous", place),
                "rbac-idle",
                f"`{name}` confirms a permission that no rule grants",
                hint="remove it",
                severity="warning",
            )
