"""Checks beyond the schemas: rules over resolved specs, one module per subject, each yielding Problems."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform.problems import Problem, errors
from fleetform.resolve import Fleet
from fleetform.resolve.references import Uses
from fleetform.rules import (
    agents,
    backups,
    canaries,
    credentials,
    encryption,
    extra_bodies,
    extras,
    graphs,
    idle,
    json_schemas,
    knowledge,
    memories,
    metadata,
    model_keys,
    pods,
    probes,
    resources,
    stores,
    tools,
    urls,
    variants,
    volumes,
    workflows,
)

AgentUses = dict[tuple[str, str], Uses]

RULES = (
    metadata.rules,
    model_keys.rules,
    extras.rules,
    extra_bodies.rules,
    credentials.rules,
    agents.rules,
    variants.rules,
    canaries.rules,
    resources.rules,
    volumes.rules,
    pods.rules,
    probes.rules,
    tools.rules,
    knowledge.rules,
    memories.rules,
    json_schemas.rules,
    stores.rules,
    backups.rules,
    urls.rules,
    encryption.rules,
    graphs.rules,
    workflows.rules,
    idle.rules,
)


def problems(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield every Problem of a fleet; `uses` holds the agents' references by their keys."""
    said = [problem for found in uses.values() for problem in found.problems]
    said += (problem for rule in RULES for problem in rule(fleet, uses))
    yield from said
    if not errors(said):
        yield from idle.unused(fleet, uses)
