"""What Kubernetes, its operators and GitOps tools accept and refuse in specs."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.platforms.kubernetes.rules import (
    argo,
    canaries,
    clusters,
    delivery,
    environments,
    grace,
    keda,
    keys,
    monitoring,
    objectives,
    owners,
    patches,
    rbac,
    routes,
    scaling,
    scheduling,
    secrets,
    services,
    sizes,
    tenants,
)
from fleetform.problems import Problem
from fleetform.resolve import Fleet

RULES = (
    environments.rules,
    clusters.rules,
    secrets.rules,
    routes.rules,
    services.rules,
    delivery.rules,
    grace.rules,
    scaling.rules,
    canaries.rules,
    objectives.rules,
    monitoring.rules,
    scheduling.rules,
    sizes.rules,
    tenants.rules,
    keda.rules,
    rbac.rules,
    keys.rules,
    owners.rules,
    patches.rules,
    argo.rules,
)


def problems(fleet: Fleet) -> Iterator[Problem]:
    """Yield every Problem of specs and the environment that is specific to Kubernetes."""
    for rule in RULES:
        yield from rule(fleet)
