"""Checks beyond the schemas: rules over resolved specs, one module per subject, each yielding Problems."""

from __future__ import annotations

from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.references import Uses
from fleetform.rules import (
    agents,
    backups,
    canaries,
    collector,
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
    pages,
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
    pages.rules,
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
    collector.rules,
    encryption.rules,
    graphs.rules,
    idle.rules,
)
"""Rules that change nothing, so that they can be checked beside everything else."""
COUNTING = (workflows.rules,)
"""Rules that follow references, each of which counts (`resolve.refers`)."""


def problems(fleet: Fleet, uses: AgentUses) -> list[Problem]:
    """Return the Problems of a fleet that RULES find."""
    return [problem for rule in RULES for problem in rule(fleet, uses)]


def counted(fleet: Fleet, uses: AgentUses) -> list[Problem]:
    """Return the Problems of references: those of agents, which `uses` holds by their keys, and of COUNTING."""
    said = [problem for found in uses.values() for problem in found.problems]
    return [*said, *(problem for rule in COUNTING for problem in rule(fleet, uses))]
