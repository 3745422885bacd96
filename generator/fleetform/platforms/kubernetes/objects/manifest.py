"""The structure that all objects share: kind, metadata, and the labels that identify them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetform.names import fit
from fleetform.plan.model import SCALARS
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan

Manifest = dict[str, Any]
"""An object in Kubernetes' own keys, in the order in which people read it."""

MANAGED_BY = "fleetform"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
HEADLESS_LABEL = "fleetform.dev/headless"
"""Marks headless twins, whose endpoints must not be scraped a second time."""
PART_OF = "agent-fleet"
VERSION = "app.kubernetes.io/version"


def labels(plan: WorkloadPlan) -> dict[str, str]:
    """Return the labels of a workload's objects.

    The version is a label of the workload itself and of its pods alone (`versioned`): on all of its objects,
    each new image would change all of them.
    """
    own = {
        **plan.selector,
        "app.kubernetes.io/component": plan.component,
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/part-of": PART_OF,
    }
    return {**plan.labels, **own}


def versioned(plan: WorkloadPlan) -> dict[str, str]:
    """Return the labels of a workload's pods, and of the object that holds them."""
    return {**labels(plan), VERSION: plan.version}


def namespace_labels(plan: NamespacePlan, name: str) -> dict[str, str]:
    """Return the labels of a namespace-wide object."""
    own = {
        "app.kubernetes.io/name": fit(name),
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": "namespace",
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/part-of": PART_OF,
    }
    return {**plan.labels, **own}


def manifest(
    api: str,
    kind: str,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """Return an object; a cluster-wide one has an empty namespace."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = dict(sorted(labels.items()))
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def workload_object(
    plan: WorkloadPlan,
    api: str,
    kind: str,
    name: str = "",
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """Return an object of a workload, by default with the workload's name."""
    own = versioned(plan) if kind in WITH_PODS else labels(plan)
    return manifest(api, kind, name or plan.name, plan.namespace, own, annotations, **body)


def data(value: Any) -> Any:
    """Return a plan's mapping as plain dicts and lists, as the emitter requires."""
    kind = type(value)
    # Most items are scalars: a call for each of them would take most of the time.
    if kind is dict:
        return {key: item if type(item) in SCALARS else data(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [item if type(item) in SCALARS else data(item) for item in value]
    return value
