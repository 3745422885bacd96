"""What an environment's pods and claims cost in a month: what they ask for, times the environment's own prices.

Nodes are paid for, not pods: the figure is the share of nodes that the scheduler reserves. Jobs are left out, since
nobody knows how long they run, and so is what models cost, which `fleetform usage` measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fleetform.platforms.kubernetes.bind import quotas
from fleetform.platforms.kubernetes.model import FleetPlan, WorkloadPlan
from fleetform.quantity import parse
from fleetform.records import NamedTuple

if TYPE_CHECKING:
    from fleetform.models.environment import Cost

HOURS = 730
"""Hours of a month, as clouds count them."""
_GIB = 2**30
_LONG = frozenset({"Deployment", "StatefulSet"})
"""Kinds whose pods run all the time."""


class Row(NamedTuple):
    """One workload, or the claims of a namespace (`workload` is empty, and there are no replicas)."""

    namespace: str
    workload: str
    least: int
    most: int
    cpu: float
    """Cores that a pod asks for."""
    memory: float
    """GiB that a pod asks for."""
    storage: float
    """GiB of the claims of each replica; of a namespace, of all its claims."""


class Month(NamedTuple):
    """US dollars in a month with the fewest and with the most replicas."""

    least: float
    most: float


def rows(plan: FleetPlan) -> list[Row]:
    """Return what is asked for, by namespace and workload as in the cluster."""
    long = [workload for workload in plan.workloads if workload.kind in _LONG]
    found = [_row(workload) for workload in long]
    found += [_waiting(workload) for workload in long if quotas.warm(workload)]
    for namespace in plan.namespaces:
        sizes = sum(float(parse(claim.size)) for claim in namespace.claims)
        if sizes:
            found.append(Row(namespace.name, "", 0, 0, 0, 0, sizes / _GIB))
    return sorted(found)


def jobs(plan: FleetPlan) -> int:
    """Return how many workloads run now and then."""
    return sum(workload.kind not in _LONG for workload in plan.workloads)


def _row(workload: WorkloadPlan) -> Row:
    return Row(
        workload.namespace,
        workload.name,
        workload.least,
        workload.most,
        float(quotas.pod(workload, "requests", "cpu")),
        float(quotas.pod(workload, "requests", "memory")) / _GIB,
        sum(float(parse(claim.size)) for claim in workload.claim_templates) / _GIB,
    )


def _waiting(workload: WorkloadPlan) -> Row:
    """Return the pods that wait for programs of a workload."""
    count = quotas.warm(workload)
    cpu, memory = (float(quotas.waiting(workload, "requests", name)) for name in ("cpu", "memory"))
    name = f"{workload.name} (sandboxes)"
    return Row(workload.namespace, name, count, count, cpu, memory / _GIB, 0)


def missing(found: Iterable[Row], prices: Cost) -> list[str]:
    """Return the prices without which nothing can be said, by their names in the environment."""
    needs = {
        "cpuHourUsd": (prices.cpu_hour_usd, any(row.cpu for row in found)),
        "memoryGibHourUsd": (prices.memory_gib_hour_usd, any(row.memory for row in found)),
        "storageGibMonthUsd": (prices.storage_gib_month_usd, any(row.storage for row in found)),
    }
    return [name for name, (price, needed) in needs.items() if needed and price is None]


def month(row: Row, prices: Cost) -> Month:
    """Return what a row costs; a price that is `missing` counts as nothing."""
    pod = HOURS * (
        row.cpu * (prices.cpu_hour_usd or 0) + row.memory * (prices.memory_gib_hour_usd or 0)
    )
    disks = row.storage * (prices.storage_gib_month_usd or 0)
    if not row.workload:
        return Month(disks, disks)
    return Month(*(replicas * (pod + disks) for replicas in (row.least, row.most)))


def total(months: Iterable[Month]) -> Month:
    """Return the sum."""
    found = [*months]
    return Month(sum(one.least for one in found), sum(one.most for one in found))


def lines(found: Iterable[Row], prices: Cost) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a table: namespace, workload, replicas, CPU, memory, storage, dollars."""
    known = not missing(found := [*found], prices)
    for row in found:
        yield (
            row.namespace,
            row.workload or "(claims)",
            span(row.least, row.most) if row.workload else "",
            f"{row.cpu:g}" if row.workload else "",
            f"{row.memory:.3g}" if row.workload else "",
            f"{row.storage:g}" if row.storage else "",
            money(month(row, prices)) if known else "?",
        )


def span(least: float, most: float) -> str:
    """Return a range as text, one number if it is one."""
    return f"{least:g}" if least == most else f"{least:g}-{most:g}"


def money(one: Month) -> str:
    """Return a range of dollars as text."""
    low, high = f"{one.least:.2f}", f"{one.most:.2f}"
    return low if low == high else f"{low}-{high}"
