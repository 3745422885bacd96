"""Quotas and limits of namespaces: what they may count, and how."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from fleetform.platforms.kubernetes.scheduling import is_key
from fleetform.problems import Problem, did_you_mean
from fleetform.quantity import parse
from fleetform.resolve import Fleet
from fleetform.tree import TreePath, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import TenantGroups

EVERYBODY = {
    "system:authenticated": "whoever has signed in to the cluster, its pods included",
    "system:unauthenticated": "whoever has not signed in",
    "system:serviceaccounts": "every pod of the cluster",
    "system:masters": "those who may do everything anyway",
}
COUNTED = frozenset(
    {
        "pods", "services", "services.nodeports", "services.loadbalancers", "configmaps", "secrets",
        "persistentvolumeclaims", "resourcequotas", "replicationcontrollers",
    }
)  # fmt: skip
"""What a quota counts by its short name; everything else by `count/RESOURCE.GROUP`."""
MEASURED = frozenset(
    {"cpu", "memory", "ephemeral-storage", "requests.storage"}
    | {
        f"{side}.{what}"
        for side in ("requests", "limits")
        for what in ("cpu", "memory", "ephemeral-storage")
    }
)
_PAGES = ("hugepages-", "requests.hugepages-")


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield quotas of namespaces without workloads, of nothing that is counted, and limits that contradict each other."""
    for name, quota in fleet.environment.tenants.items():
        path: TreePath = ("spec", "tenants", name)
        if name not in fleet.spaces and fleet.catalog.complete and not fleet.catalog.broken:
            yield problem_at(
                fleet.environment_tree,
                path,
                "idle-tenant",
                f"no workload is in the namespace `{name}`",
                hint=did_you_mean(name, fleet.spaces, noun="namespaces of the specs"),
                severity="warning",
                key=True,
            )
        yield from _groups(fleet, (*path, "groups"), quota.groups)
        for resource, amount in quota.hard.items():
            yield from _hard(fleet, (*path, "hard", resource), resource, amount)
        rows = (
            ("defaultRequest", quota.default_request),
            ("defaultLimit", quota.default_limit),
            ("max", quota.max),
        )
        for (low_name, low), (high_name, high) in combinations(rows, 2):
            for resource in sorted(low.keys() & high.keys()):
                if parse(low[resource]) > parse(high[resource]):
                    yield problem_at(
                        fleet.environment_tree,
                        (*path, low_name, resource),
                        "request-above-limit",
                        f"`{low_name}` {low[resource]} is greater than `{high_name}` {high[resource]}",
                        hint="lower one or raise the other",
                    )


def _groups(fleet: Fleet, path: TreePath, groups: TenantGroups) -> Iterator[Problem]:
    """Yield groups that are everybody, and those that have a right twice."""
    for role in ("edit", "view"):
        for number, group in enumerate(getattr(groups, role)):
            if group in EVERYBODY:
                yield problem_at(
                    fleet.environment_tree,
                    (*path, role, number),
                    "everybody",
                    f"`{group}` is {EVERYBODY[group]}",
                    hint="name the group of the team, as the cluster's sign-in calls it",
                )
            elif role == "view" and group in groups.edit:
                yield problem_at(
                    fleet.environment_tree,
                    (*path, role, number),
                    "not-used",
                    f"`{group}` may edit, which includes to view",
                    hint="remove it here",
                    severity="note",
                )


def _hard(fleet: Fleet, path: TreePath, name: str, amount: str) -> Iterator[Problem]:
    """Yield a name that no quota knows, and fractions of what is counted in pieces."""
    if "/" in name:
        known = is_key(name)
        counted = not name.startswith("requests.") and "kubernetes.io/" not in name
    else:
        known = name in COUNTED or name in MEASURED or name.startswith(_PAGES)
        counted = name in COUNTED
    if not known:
        hint = did_you_mean(name, COUNTED | MEASURED, noun="a quota knows")
        yield problem_at(
            fleet.environment_tree,
            path,
            "bad-quota",
            f"`{name}` is nothing that a quota knows",
            hint=f"{hint} Objects of other kinds: `count/deployments.apps`; devices: `requests.nvidia.com/gpu`",
            key=True,
        )
    elif counted and parse(amount).denominator != 1:
        yield problem_at(
            fleet.environment_tree,
            path,
            "bad-quota",
            f"`{name}` is counted, and {amount} is no whole number",
            hint="write a whole number",
        )
