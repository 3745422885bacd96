"""Searches in documents: which parameter is the question, how passages are found, whose key is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform.contract import PROJECTS
from fleetform.names import fit
from fleetform.records import NamedTuple
from fleetform.resolve import regions

if TYPE_CHECKING:
    from fleetform.models.agent import Knowledge, ToolUse
    from fleetform.models.base import SecretKey
    from fleetform.models.memory_store import Embedding
    from fleetform.models.model_config import ModelSettings, ModelTls
    from fleetform.models.tool import Retrieval, ToolSpec
    from fleetform.resolve import Resolved
    from fleetform.resolve.references import Uses

LONGEST = 43
"""Characters of the name of what takes documents in: a hash follows, and a CronJob's name has 52 at most."""


def question(spec: ToolSpec) -> str:
    """Return the parameter that says what to look for; empty if none can be it."""
    names = [item.name for item in spec.parameters if item.type == "string" and not item.enum]
    if not spec.parameters or "query" in names:
        return "query"
    needed = [item.name for item in spec.parameters if item.required and item.name in names]
    return next(iter(needed or names), "")


def mode(retrieval: Retrieval) -> str:
    """Return how a search finds passages."""
    return retrieval.search.mode or ("hybrid" if retrieval.embedding else "keyword")


def taker(agent: str) -> str:
    """Return the name of the workload that takes documents in for an agent."""
    return fit(agent, "-knowledge", LONGEST)


def searched(uses: Uses) -> list[tuple[ToolUse, Resolved[ToolSpec]]]:
    """Return the retrieval tools of an agent."""
    return [(use, tool) for use, tool in uses.tools if tool.spec.type == "retrieval"]


def by_meaning(uses: Uses) -> list[tuple[ToolUse, Retrieval]]:
    """Return the searches of an agent that compare vectors."""
    found = ((use, tool.spec.retrieval) for use, tool in searched(uses))
    return [(use, one) for use, one in found if one and one.embedding and mode(one) != "keyword"]


def filled(knowledge: Knowledge, uses: Uses) -> tuple[ToolUse, Resolved[ToolSpec]] | None:
    """Return the tool whose collection holds an agent's documents, None if that is not clear."""
    found = [(use, tool) for use, tool in searched(uses) if knowledge.tool in (None, use.name)]
    return found[0] if len(found) == 1 else None


class Reached(NamedTuple):
    """How the model of the vectors is reached: as the spec says, else as the agent's model of its provider is."""

    provider: str
    endpoint: str | None
    secret: SecretKey | None
    tls: ModelTls | None
    region: str | None
    project: str | None
    by_model: bool
    """Whether the address is that of the agent's model, which it reaches anyhow."""


def reached(uses: Uses, wanted: Embedding | None) -> Reached | None:
    """Return how the model of the vectors is reached, None for a search that has none."""
    if wanted is None:
        return None
    like = embedding_model(uses, wanted)
    project = wanted.project or (like.project if like and not wanted.secret_ref else None)
    region = wanted.region or (like.region if like else None)
    found = Reached(
        provider=wanted.provider,
        endpoint=wanted.endpoint or (like.endpoint if like else None),
        secret=wanted.secret_ref or (like.api_key_secret_ref if like else None),
        tls=like.tls if like and wanted.endpoint is None else None,
        region=region,
        project=project if wanted.provider in PROJECTS else None,
        by_model=like is not None and wanted.endpoint is None,
    )
    return found._replace(
        secret=None if regions.has_project(found) else found.secret,
        region=region if regions.has_region(found) else None,
    )


def embedding_model(uses: Uses, wanted: Embedding | None) -> ModelSettings | None:
    """Return the agent's model of the provider of the vectors, whose endpoint and key are theirs by default."""
    return next(
        (model for model in uses.every_model if wanted and model.provider == wanted.provider), None
    )
