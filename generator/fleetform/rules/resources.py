"""Requests and limits of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.pods import extras, workloads
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.workload import Resources
    from fleetform.rules import AgentUses

AMOUNTS = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral_storage"}
"""Fields of requests and limits, and their attributes."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield requests above limits."""
    del uses
    for resolved, spec, root in workloads(fleet):
        yield from _resources(resolved, root, spec.resources)
        for path, container in extras(spec, root):
            yield from _resources(resolved, path, container.resources)


def _resources(resolved: Resolved[Any], root: TreePath, given: Resources) -> Iterator[Problem]:
    if not view.given(given):
        return
    yield from _devices(resolved, (*root, "resources"), given)
    for name, attribute in AMOUNTS.items():
        low, high = getattr(given.requests, attribute), getattr(given.limits, attribute)
        if low and high and parse(low) > parse(high):
            yield resolved.problem(
                (*root, "resources", "requests", name),
                "request-above-limit",
                f"the request {low} is greater than the limit {high}",
                hint="lower one or raise the other",
            )


def _devices(resolved: Resolved[Any], root: TreePath, given: Resources) -> Iterator[Problem]:
    """Yield devices that Kubernetes keeps to itself, and requests of devices that are not their limits."""
    low, high = view.dump(given.requests), view.dump(given.limits)
    for name in sorted({*low, *high} - {*AMOUNTS}):
        place = (*root, "requests" if name in low else "limits", name)
        domain = name.partition("/")[0]
        if domain == "kubernetes.io" or domain.endswith(".kubernetes.io") or _is_of_quotas(name):
            yield resolved.problem(
                place,
                "bad-resource",
                f"`{name}` is a name that Kubernetes keeps to itself",
                hint="use the name that the device plugin offers, such as `nvidia.com/gpu`",
                key=True,
            )
        elif size := _odd_pages(name, low.get(name) or high[name]):
            yield resolved.problem(
                place,
                "bad-resource",
                f"{low.get(name) or high[name]} is no multiple of {size}, the size of one huge page of `{name}`",
                hint=f"write so many times {size}, or use `hugepages-` of another size",
            )
        elif name in low and name in high and parse(low[name]) != parse(high[name]):
            yield resolved.problem(
                place,
                "request-not-limit",
                f"the request {low[name]} of `{name}` is not the limit {high[name]}",
                hint="remove it: devices and huge pages are not shared, so a request is the limit",
            )


_PAGES = "hugepages-"


def _is_of_quotas(name: str) -> bool:
    """Whether a name of a device begins as quotas call what is requested of it."""
    return name.startswith("requests.") and "/" in name


def _odd_pages(name: str, amount: str) -> str:
    """Return the size of the huge pages that an amount is no multiple of, empty if it is."""
    size = name.removeprefix(_PAGES)
    if size == name:
        return ""
    try:
        return size if not parse(size) or parse(amount) % parse(size) else ""
    except ValueError:
        return ""  # the schema's to say
