"""Fields that have no effect beside what else is said: nobody should believe that they do something.

Each module looks at one kind and yields a `Field` for every field that depends on another one and is
set. What several specs share (a template, an environment's defaults, a patch) is idle only when it has
no effect in any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.rules.idle import (
    agents,
    documents,
    environments,
    servers,
    stores,
    tools,
    variables,
    workloads,
)
from fleetform.rules.idle.fields import Field
from fleetform.tree import locate

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

PARTS = (
    workloads.fields,
    agents.fields,
    servers.fields,
    stores.fields,
    variables.fields,
    tools.fields,
)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what has no effect, where it is set, with the reason."""
    yield from documents.rules(fleet)
    yield from environments.rules(fleet, uses)
    found = [field for part in PARTS for field in part(fleet, uses)]
    served = {_place(field) for field in found if not field.why}
    for field in found:
        if field.why and (field.severity == "error" or _place(field) not in served):
            yield _problem(field)


def unused(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what nothing asks for yet: notes for a fleet without errors, since these may be the reason."""
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
