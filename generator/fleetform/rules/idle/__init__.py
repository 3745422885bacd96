"""Fields that are set but have no effect, so that users do not rely on them.

Each module handles one kind and yields a `Field` for every field that depends on another one and is
set. What several specs share (a template, an environment's defaults, a patch) is idle only if it
has no effect in any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.rules.idle import (
    agents,
    alerts,
    documents,
    environments,
    models,
    pages,
    servers,
    shares,
    stores,
    tools,
    variables,
    workflows,
    workloads,
)
from fleetform.rules.idle.fields import Field, Looking
from fleetform.tree import locate

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

PARTS = (
    workloads.fields,
    alerts.fields,
    agents.fields,
    servers.fields,
    stores.fields,
    variables.fields,
    tools.fields,
    models.fields,
    shares.fields,
    workflows.fields,
    pages.fields,
)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield fields without effect, at the place where they are set, with the reason."""
    yield from environments.rules(fleet, uses)
    idle = [field for part in PARTS for field in part(fleet, uses) if field.why]
    served = {_place(field) for field in _served(fleet, uses)} if idle else set()
    for field in idle:
        if field.severity == "error" or _place(field) not in served:
            yield _problem(field)


def _served(fleet: Fleet, uses: AgentUses) -> list[Field]:
    """Return the fields that have an effect: most fleets have no others, and nobody asks then."""
    Looking.served = True
    try:
        return [field for part in PARTS for field in part(fleet, uses) if not field.why]
    finally:
        Looking.served = False


def unused(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield unused documents and settings: notes, and only for a fleet without errors, which may be the reason."""
    if fleet.catalog.complete and not fleet.catalog.broken:
        yield from documents.unused(fleet, uses)
        yield from environments.facts(fleet, uses)


def _place(field: Field) -> object:
    return locate(field.owner.tree, field.path)[0]


def _problem(field: Field) -> Problem:
    name = field.name or field.path[-1]
    return field.owner.problem(
        field.path,
        "not-used",
        f"`{name}` {field.why if field.why.startswith('is for ') else f'has no effect: {field.why}'}",
        hint=field.hint,
        severity=field.severity,
        key=True,
    )
