"""What Kubernetes, its operators and the tools that apply its objects take and refuse in specs."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.platforms.kubernetes.rules import (
    delivery,
    environments,
    grace,
    keda,
    patches,
    rbac,
    scaling,
)
from fleetform.problems import Problem
from fleetform.resolve import Fleet

RULES = (
    environments.rules,
    delivery.rules,
    grace.rules,
    scaling.rules,
    keda.rules,
    rbac.rules,
    patches.rules,
)


def problems(fleet: Fleet) -> Iterator[Problem]:
    """Yield every Problem that specs and the environment have on Kubernetes alone."""
    for rule in RULES:
        yield from rule(fleet)
