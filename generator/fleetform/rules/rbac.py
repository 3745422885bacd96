"""Rights at the Kubernetes API: no wildcard ever, the dangerous ones only by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

DANGEROUS_RESOURCES = frozenset(
    {
        "secrets",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
        "pods/ephemeralcontainers",
        "serviceaccounts/token",
        "nodes/proxy",
        "services/proxy",
        "pods/proxy",
        "certificatesigningrequests/approval",
    }
)
"""Resources that give away secrets or other workloads' identities."""
DANGEROUS_VERBS = frozenset({"escalate", "bind", "impersonate"})
"""Verbs that give away more than the rule says."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield wildcards and dangerous grants that nobody confirmed."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            if resolved.spec.rbac is not None:
                yield from _rbac(resolved)


def _rbac(resolved: Resolved) -> Iterator[Problem]:
    rbac = resolved.spec.rbac
    used: set[str] = set()
    for number, rule in enumerate(rbac.rules):
        path: Path = ("spec", "rbac", "rules", number)
        for field, values in (
            ("apiGroups", rule.api_groups),
            ("resources", rule.resources),
            ("verbs", rule.verbs),
        ):
            for place, value in enumerate(values):
                where = (*path, field, place)
                if "*" in value:
                    yield resolved.problem(
                        where,
                        "rbac-wildcard",
                        f"`{value}` grants what nobody has listed",
                        hint="list what is needed, each by its name",
                    )
                elif (
                    value.lower() in (DANGEROUS_RESOURCES | DANGEROUS_VERBS)
                    and field != "apiGroups"
                ):
                    used.add(value.lower())
                    if value.lower() not in {name.lower() for name in rbac.allow_dangerous}:
                        yield resolved.problem(
                            where,
                            "rbac-dangerous",
                            f"`{value}` lets the agent act beyond its own rights",
                            hint=f"remove it, or confirm it with `allowDangerous: [{value}]`",
                        )
    for place, name in enumerate(rbac.allow_dangerous):
        if name.lower() not in used:
            yield resolved.problem(
                ("spec", "rbac", "allowDangerous", place),
                "rbac-idle",
                f"`{name}` confirms a grant that no rule makes",
                hint="remove it",
                severity="warning",
            )
